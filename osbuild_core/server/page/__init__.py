"""The web page: HTML that the server writes, and a script that keeps it up to date."""
