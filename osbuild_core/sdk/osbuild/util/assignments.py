"""Files of ``KEY=value`` lines, as shells and systemd read them (``/etc/vconsole.conf``, ``/etc/selinux/config``)."""

from osbuild.util.configline import one_line

_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+.,:/@%")
# What means something between double quotes, to shells as well as to systemd.
_SPECIAL = '\\"$`'


def quote(value):
    """Return ``value`` as a shell reads it back: as it is where it can be, else in double quotes."""
    return value if value and _PLAIN.issuperset(value) else quote_always(value)


def quote_always(value):
    """Return ``value`` in double quotes, as a shell reads it back."""
    return '"{}"'.format("".join("\\" + one if one in _SPECIAL else one for one in value))


def assign(key, value):
    """Return the line that gives the variable ``key`` a value. Raises ValueError where that is not one line."""
    return "{}={}".format(key, quote(one_line(value, key)))


def format_assignments(values):
    """Return the text of a file that gives each variable of the dict ``values`` its value."""
    return "".join(assign(key, value) + "\n" for key, value in values.items())


def change(text, values):
    """Return ``text``, the content of such a file, with the ``values`` of a dict.

    A variable gets its value where it has one already, else at the end; everything else stays.
    """
    missing = dict(values)
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    result = []
    for line in lines:
        key, sign, _ = line.partition("=")
        key = key.strip() if sign else ""
        if key not in values:
            result.append(line)
        elif key in missing:
            # What is set once more goes: it would win over what was changed.
            result.append(assign(key, missing.pop(key)))
    result += [assign(key, value) for key, value in missing.items()]
    return "".join(line + "\n" for line in result)
