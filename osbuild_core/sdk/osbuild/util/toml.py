"""TOML files. Python can read them from 3.11 on; an older one needs a package for that, but not for writing."""

import importlib
import re

# With how the file is to be opened.
_READERS = (("tomllib", "rb"), ("tomli", "rb"), ("toml", "r"), ("pytoml", "r"))

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def load_from_file(path):
    """Return what the file at ``path`` holds, as a dict.

    Raises OSError, ValueError for what is no TOML, ImportError where nothing is installed that reads it.
    """
    for name, mode in _READERS:
        try:
            reader = importlib.import_module(name)
        except ImportError:
            continue
        with open(path, mode, encoding=None if "b" in mode else "utf-8") as file:
            return reader.load(file)
    names = ", ".join(name for name, _ in _READERS)
    raise ImportError("no package to read TOML with, one of {} is needed".format(names))


def dump_to_file(data, path, header=""):
    """Write the dict ``data`` to the file ``path``, after ``header``, a list of lines of comment.

    Raises OSError, TypeError for a value that TOML has not.
    """
    if isinstance(header, str):
        header = header.splitlines()
    text = "".join(("# " + line).rstrip() + "\n" for line in header)
    body = _table(data, ())
    with open(path, "w", encoding="utf-8") as file:
        file.write(text + "\n" * bool(text and body) + body)


def _table(table, path):
    """Return ``table``, its own values before the tables in it."""
    lines = []
    inner = []
    for key, value in table.items():
        if isinstance(value, dict):
            inner.append(_section("[{}]", path + (key,), value))
        elif isinstance(value, (list, tuple)) and value and all(isinstance(item, dict) for item in value):
            inner += [_section("[[{}]]", path + (key,), item) for item in value]
        else:
            lines.append("{} = {}\n".format(_key(key), _value(value)))
    own = "".join(lines)
    return "\n".join(part for part in [own] + inner if part)


def _section(form, path, table):
    return form.format(".".join(_key(part) for part in path)) + "\n" + _table(table, path)


def _key(key):
    return key if _BARE.fullmatch(key) else _string(key)


def _value(value):
    # A bool is an int, too.
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[{}]".format(", ".join(_value(item) for item in value))
    if isinstance(value, dict):
        return "{{{}}}".format(", ".join("{} = {}".format(_key(k), _value(v)) for k, v in value.items()))
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError("TOML has no value for {!r}".format(value))


def _string(text):
    return '"{}"'.format(re.sub(r'[\x00-\x1f"\\\x7f]', _escaped, text))


def _escaped(match):
    character = match.group()
    return _ESCAPES.get(character) or "\\u{:04x}".format(ord(character))
