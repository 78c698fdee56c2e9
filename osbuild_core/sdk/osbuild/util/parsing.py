"""Sizes and locations as options write them."""

import os
import re

_UNITS = {
    "": 1,
    "kB": 1000,
    "KiB": 1024,
    "MB": 1000**2,
    "MiB": 1024**2,
    "GB": 1000**3,
    "GiB": 1024**3,
    "TB": 1000**4,
    "TiB": 1024**4,
}


def parse_size(text):
    """Return the bytes that ``text`` means (``512``, ``1 GiB``, ``20 MB``), or ``"unlimited"`` for that word.

    Raises ValueError for anything else.
    """
    text = text.strip()
    if text == "unlimited":
        return text
    match = re.match(r"([0-9]+)\s*([A-Za-z]*)$", text)
    if not match:
        raise ValueError("not a size: {!r}".format(text))
    number, unit = match.groups()
    if unit not in _UNITS:
        raise ValueError("unknown unit {!r} in size {!r}, use one of {}".format(unit, text, _unit_names()))
    return int(number) * _UNITS[unit]


def _unit_names():
    return ", ".join(unit for unit in _UNITS if unit)


def parse_location(location, args):
    """Return the path that ``location`` names, for the arguments ``args`` of a stage or a mount.

    ``tree:///PATH`` is in the tree, ``mount://NAME/PATH`` in that mount (``mount:///PATH`` below the
    directory of all mounts), ``input://NAME/PATH`` in that input; ``/PATH`` is in the tree as well. ``..`` does not
    leave them. A location that ends with a slash gives a path that ends with ``/.``, which copying tools take as the
    content of the directory. Raises ValueError for another scheme and for a name that is not there.
    """
    root, path = parse_location_into_parts(location, args)
    full = os.path.normpath(root + path)
    return os.path.join(full, ".") if location.endswith("/") else full


def parse_location_into_parts(location, args):
    """Return ``location`` as (directory that it is in, path as seen from there); see :func:`parse_location`.

    The path begins with a slash; it is for :func:`osbuild.util.path.resolve`, or to be put after the directory, and
    not for os.path.join.
    """
    if location.startswith("/"):
        location = "tree://" + location
    scheme, colon, rest = location.partition(":")
    if not colon or scheme not in ("tree", "mount", "input"):
        raise ValueError("not a tree:, mount: or input: location: {!r}".format(location))
    name = ""
    if rest.startswith("//"):
        name, slash, rest = rest[2:].partition("/")
        rest = slash + rest
    root = _root_of(scheme, name, args, location)
    return root, os.path.normpath("/" + rest.lstrip("/"))


def _root_of(scheme, name, args, location):
    if scheme == "tree":
        if name:
            raise ValueError("a tree has no name, write tree:///PATH: {!r}".format(location))
        return args["tree"]
    if scheme == "mount" and not name:
        return args["paths"]["mounts"]
    known = args.get(scheme + "s") or {}
    if name not in known or not known[name].get("path"):
        raise ValueError("unknown {} {!r} in {!r}".format(scheme, name, location))
    return known[name]["path"]
