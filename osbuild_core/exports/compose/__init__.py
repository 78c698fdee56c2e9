"""Repositories of packages on request: what a request says, when an older one serves, and how it is made."""
