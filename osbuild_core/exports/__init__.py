"""Where finished trees go: the libraries behind the export modules, the command line and the service."""
