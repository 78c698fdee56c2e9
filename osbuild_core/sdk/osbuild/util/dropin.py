"""Files that a manifest names, in a directory that a stage knows (``/usr/lib/sysctl.d``)."""

import os

from osbuild.util import treefile
from osbuild.util.path import resolve

_MAX_NAME = 255


def check_name(name):
    """Return ``name``. Raises ValueError where it is not the name of a file: a path, or longer than names can be."""
    if name in ("", ".", "..") or any(character in name for character in "/\n\r\0"):
        raise ValueError("not the name of a file: {!r}".format(name))
    if len(name.encode("utf-8", "surrogateescape")) > _MAX_NAME:
        raise ValueError("a file's name cannot have more than {} bytes: {!r}".format(_MAX_NAME, name))
    return name


def write(tree, folder, name, text, mode=0o644):
    """Give the file ``name`` in the directory ``folder`` of ``tree`` the content ``text``.

    What is missing of the directory is created. A file that is there keeps its owner and mode; a link, which masks
    a file where it leads to ``/dev/null``, is replaced. Raises ValueError, OSError.
    """
    path = "{}/{}".format(folder, check_name(name))
    if os.path.islink(resolve(tree, path, follow=False)):
        treefile.replace(tree, path, text, mode)
    else:
        treefile.write(tree, path, text, mode)
