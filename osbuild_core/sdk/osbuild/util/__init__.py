"""Small tools for modules, one file each; importing this package imports none of them."""
