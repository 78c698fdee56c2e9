"""What host services ask this machine. Not for stages."""

from osbuild.util import toml

_STORAGE = ("/etc/containers/storage.conf", "/usr/share/containers/storage.conf")


def get_container_storage():
    """Return this machine's settings of containers-storage as a dict. Raises FileNotFoundError."""
    for path in _STORAGE:
        try:
            return toml.load_from_file(path)
        except FileNotFoundError:
            continue
    raise FileNotFoundError("no settings of containers-storage in {}".format(" or ".join(_STORAGE)))
