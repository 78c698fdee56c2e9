"""The command lines: the only readers of the argument vector, the only ones that print and exit."""
