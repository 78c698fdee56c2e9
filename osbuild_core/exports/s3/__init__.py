"""Files as objects in a bucket: in parts, side by side, checked, and gone on with after an interruption."""
