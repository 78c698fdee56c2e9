"""os-release(5): which system a tree or this machine is."""

import os
import shlex

DEFAULT_PATHS = ["/etc/os-release", "/usr/lib/os-release"]
"""Where the file of a running system is."""


def parse_files(*paths):
    """Return the variables in the first of ``paths`` that is there, an empty dict if none is.

    Raises ValueError, naming file and line, for what is no assignment of one value.
    """
    for path in paths:
        if os.path.exists(path):
            return _parse(path)
    return {}


def _parse(path):
    values = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            name, equals, value = line.strip().partition("=")
            if name == equals == "" or name.startswith("#"):
                continue
            words = _words(value)
            # A name without a value is empty; os-release(5) allows it.
            if not equals or len(words) > 1:
                raise ValueError("{}:{}: not NAME=VALUE: {}".format(path, number, line.strip()))
            values[name] = words[0] if words else ""
    return values


def _words(value):
    try:
        return shlex.split(value)
    except ValueError:
        # A quote that is not closed.
        return [value, ""]


def describe_os(*paths):
    """Return the name and version as runners are called by them (``debian12``, ``rhel94``)."""
    values = parse_files(*paths)
    return values.get("ID", "linux") + values.get("VERSION_ID", "").replace(".", "")
