"""Context managers."""

import contextlib


@contextlib.contextmanager
def suppress_oserror(*numbers):
    """Go on after an OSError whose errno is one of ``numbers``."""
    try:
        yield
    except OSError as error:
        if error.errno not in numbers:
            raise
