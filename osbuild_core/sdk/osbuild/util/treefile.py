"""Files and links of a tree, written so that no symbolic link leads out of it and no umask changes a mode."""

import os

from osbuild.util.path import resolve


def ensure_folder(tree, path, mode=0o755):
    """Create the directory ``path`` of ``tree`` and what is missing above it, and return where it is outside.

    New directories get ``mode``; those that are there stay as they are. Raises OSError.
    """
    return _ensure(resolve(tree, path), mode)


def read(tree, path):
    """Return the text of ``path`` in ``tree``, or None where there is no such file."""
    try:
        with open(resolve(tree, path), encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return None


def write(tree, path, text, mode=0o644):
    """Give the file ``path`` of ``tree`` the content ``text``.

    A file that is there keeps its owner and mode, and a link to it stays; a new one gets ``mode``.
    """
    target = resolve(tree, path)
    is_new = not os.path.exists(target)
    _ensure(os.path.dirname(target), 0o755)
    with open(target, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        if is_new:
            os.fchmod(file.fileno(), mode)


def replace(tree, path, text, mode=0o644):
    """Put a new file with the content ``text`` at ``path`` of ``tree``, instead of any file or link there."""
    _clear(tree, path)
    write(tree, path, text, mode)


def link(tree, path, target):
    """Put a symbolic link to ``target`` at ``path`` of ``tree``, instead of any file or link there."""
    _clear(tree, path)
    os.symlink(target, resolve(tree, path, follow=False))


def _clear(tree, path):
    folder = ensure_folder(tree, os.path.dirname(path))
    try:
        os.unlink(os.path.join(folder, os.path.basename(path)))
    except FileNotFoundError:
        pass


def _ensure(folder, mode):
    if not os.path.isdir(folder):
        _ensure(os.path.dirname(folder), mode)
        os.mkdir(folder, mode)
        os.chmod(folder, mode)
    return folder
