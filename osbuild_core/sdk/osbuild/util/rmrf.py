"""Removing of trees, whatever modes and attributes are in the way."""

import os
import shutil
import stat

from osbuild.util.linux import ioctl_toggle_immutable


def rmtree(path):
    """Remove the directory ``path`` with all that is in it; one that is not there is fine. Raises OSError.

    What keeps its owner from removing it (a mode, the immutable flag) is taken away first, where it is met.
    """
    try:
        _remove(path)
    except FileNotFoundError:
        return


def _remove(path):
    try:
        shutil.rmtree(path)
    except PermissionError:
        # Everything at once: what is immutable comes in pairs of a directory and its files.
        _unlock(path)
        for folder, folders, files in os.walk(path):
            for name in folders + files:
                _unlock(os.path.join(folder, name))
        shutil.rmtree(path)


def _unlock(path):
    kind = os.lstat(path).st_mode
    if not (stat.S_ISDIR(kind) or stat.S_ISREG(kind)):
        return
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        try:
            ioctl_toggle_immutable(fd, False)
        except OSError:
            # A file system without such flags; then the mode is all there is.
            pass
        if stat.S_ISDIR(kind):
            os.fchmod(fd, stat.S_IMODE(kind) | stat.S_IRWXU)
    finally:
        os.close(fd)
