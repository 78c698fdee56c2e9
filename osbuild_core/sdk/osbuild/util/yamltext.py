"""YAML, written: what JSON can say, in YAML's own form. Reading it takes more than Python brings."""

import re

# Words that YAML 1.1 takes for something else than text.
_NOT_TEXT = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n"))
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Control characters, and what YAML takes as line breaks or does not print.
_UNPRINTABLE = re.compile('["\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]')


def format_document(data):
    """Return the dict ``data`` as YAML: a line for each key, lists on the line of their key.

    Some programs look for lists line by line. Raises TypeError for a value that JSON has not.
    """
    return "".join(_entries(data, ""))


def _entries(data, indent):
    for key, value in data.items():
        if isinstance(value, dict) and value:
            yield "{}{}:\n".format(indent, _scalar(key))
            for line in _entries(value, indent + "  "):
                yield line
        else:
            yield "{}{}: {}\n".format(indent, _scalar(key), _flow(value))


def _flow(value):
    if isinstance(value, dict):
        return "{{{}}}".format(", ".join("{}: {}".format(_scalar(key), _flow(value[key])) for key in value))
    if isinstance(value, (list, tuple)):
        return "[{}]".format(", ".join(_flow(item) for item in value))
    return _scalar(value)


def _scalar(value):
    if value is None:
        return "null"
    # A bool is an int, too.
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        mantissa, exponent, power = repr(value).partition("e")
        return mantissa + (".0" if exponent and "." not in mantissa else "") + exponent + power
    raise TypeError("YAML has no value for {!r}".format(value))


def _string(text):
    if _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT:
        return text
    return '"{}"'.format(_UNPRINTABLE.sub(_escaped, text))


def _escaped(match):
    character = match.group()
    return _ESCAPES.get(character) or "\\u{:04x}".format(ord(character))
