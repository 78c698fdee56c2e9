"""Paths inside of trees."""

import os

_MAX_LINKS = 40


def in_tree(path, tree, must_exist=False):
    """Tell whether ``path``, all symbolic links followed, is ``tree`` or below it.

    With ``must_exist`` it also has to be there.
    """
    real = os.path.realpath(path)
    root = os.path.realpath(tree)
    inside = real == root or real.startswith(root.rstrip("/") + "/")
    return inside and (not must_exist or os.path.exists(real))


def join_abs(root, *paths):
    """Return ``root`` and ``paths`` joined; a ``path`` that starts with a slash is below ``root`` as well.

    The result is absolute and normalized. ``..`` is not stopped at ``root``, see :func:`in_tree`.
    """
    path = os.path.join("/", root)
    for part in paths:
        path = os.path.join(path, part.lstrip("/"))
    return _normal(path)


def resolve(tree, path, follow=True):
    """Return where ``path`` leads for a process whose root directory is ``tree``, as a path outside.

    Symbolic links are followed as such a process would: absolute ones start at ``tree`` and ``..`` stops
    there, so the result is always ``tree`` or below it. Parts that do not exist are taken as they
    are. With ``follow`` false a symbolic link in the last place is not followed. Raises OSError (ELOOP)
    for a chain of too many links.
    """
    links = 0
    done = []  # type: list
    todo = _parts(path)
    todo.reverse()
    while todo:
        part = todo.pop()
        if part == "..":
            if done:
                done.pop()
            continue
        here = os.path.join(tree, *(done + [part]))
        if (not todo and not follow) or not os.path.islink(here):
            done.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            import errno

            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = os.readlink(here)
        if target.startswith("/"):
            done = []
        todo.extend(reversed(_parts(target)))
    return os.path.join(tree, *done)


def clamp_mtime(path, start, to):
    """Set the modification times below ``path`` (itself included) that are after ``start`` to ``to``.

    Both are in seconds. Symbolic links are changed themselves, not followed; what is immutable stays as it is.
    """

    def clamp(name):
        if os.lstat(name).st_mtime >= start:
            try:
                os.utime(name, (to, to), follow_symlinks=False)
            except PermissionError:
                # The immutable flag stops root, too.
                return

    for folder, _, files in os.walk(path, topdown=False):
        for name in files:
            clamp(os.path.join(folder, name))
        for name in os.listdir(folder):
            entry = os.path.join(folder, name)
            if os.path.islink(entry) and os.path.isdir(entry):
                clamp(entry)
        clamp(folder)


def ensure_glob(pathname, n="", **keywords):
    """Return what glob.glob(``pathname``, ``**keywords``) finds. Raises ValueError for none, or not ``n`` of them."""
    import glob

    found = glob.glob(pathname, **keywords)
    if not found or (n != "" and len(found) != int(n)):
        wanted = n if n != "" else "any"
        raise ValueError("{} files match {}, {} wanted".format(len(found), pathname, wanted))
    return found


def _parts(path):
    return [part for part in path.split("/") if part not in ("", ".")]


def _normal(path):
    # POSIX keeps two leading slashes; here they are one.
    return "/" + os.path.normpath(path).lstrip("/")
