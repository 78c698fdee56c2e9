"""systemd's files: units, and the configuration of its services, which have the same form."""

from osbuild.util.configline import uncontinued
from osbuild.util.inifile import format_sections


def format_unit(config):
    """Return the text of a file with ``config``: sections by name, of settings by name.

    A list sets its setting once for each item. Raises ValueError for what is not one line.
    """
    return format_sections((name, _settings(section)) for name, section in config.items())


def format_variable(variable):
    """Return ``{"key", "value"}`` as an item of ``Environment=``, quotes in the value kept.

    Raises ValueError for a key that no variable can have.
    """
    key = variable.get("key", "")
    if not key.isidentifier():
        raise ValueError("not the name of a variable: {!r}".format(key))
    value = variable.get("value", "").replace("\\", "\\\\").replace('"', '\\"')
    return '"{}={}"'.format(key, value)


def _settings(section):
    for key, value in section.items():
        for item in value if isinstance(value, list) else [value]:
            yield key, uncontinued(item, key)
