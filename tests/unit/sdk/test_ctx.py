import errno
import os
from collections.abc import Callable
from typing import Any

import pytest


def test_only_the_errors_that_are_named_are_suppressed(sdk: Callable[[str], Any]) -> None:
    suppress = sdk("util.ctx").suppress_oserror
    with suppress(errno.ENOENT, errno.EEXIST):
        os.unlink("/no/such/file")
    with pytest.raises(FileNotFoundError), suppress(errno.EEXIST):
        os.unlink("/no/such/file")
    with pytest.raises(FileNotFoundError), suppress():
        os.unlink("/no/such/file")
    with pytest.raises(ValueError), suppress(errno.ENOENT):
        raise ValueError
