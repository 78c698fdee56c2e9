"""Packages and archives that tests make for themselves, with the programs that make real ones."""
