"""What the modules of this appliance share; grown from necessity."""

VERSION = "4"
