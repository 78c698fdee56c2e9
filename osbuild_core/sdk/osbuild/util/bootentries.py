"""The files of boot entries (``loader/entries/*.conf``) of a tree or a mount."""

import os

from osbuild.util.path import resolve
from osbuild.util.treefile import read, write


def find(root, boot):
    """Return the paths, as seen from ``root``, of the entries below ``boot``, the directory of the boot loader."""
    folder = os.path.join("/", boot, "loader/entries")
    found = resolve(root, folder)
    names = sorted(os.listdir(found)) if os.path.isdir(found) else []
    return [
        os.path.join(folder, name) for name in names if name.endswith(".conf") and not name.startswith(".")
    ]


def rewrite(root, path, change):
    """Give the entry at ``path`` below ``root`` the lines that ``change`` makes of its lines."""
    text = read(root, path) or ""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    write(root, path, "".join(line + "\n" for line in change(lines)))
