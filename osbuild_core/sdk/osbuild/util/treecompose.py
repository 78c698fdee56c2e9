"""The configuration of ``rpm-ostree compose``, as far as a build uses it."""

import contextlib
import json
import os
import tempfile

_KINDS = {
    "ref": str,
    "repos": list,
    "selinux": bool,
    "boot-location": str,
    "etc-group-members": list,
    "machineid-compat": bool,
    "initramfs-args": list,
    "selinux-label-version": int,
}


class Treefile:
    """A mapping with the parameters of a treefile. Lists are of strings.

    ``ref`` and ``repos`` have to be there for any of rpm-ostree's commands, so they are from the start.
    """

    def __init__(self):
        self._data = {"ref": "osbuild/devel", "repos": ["osbuild"]}

    def __getitem__(self, key):
        self._kind(key)
        return self._data[key]

    def __setitem__(self, key, value):
        kind = self._kind(key)
        fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if not fits or (kind is list and not all(isinstance(item, str) for item in value)):
            raise ValueError("{} of a treefile is a {}, not {!r}".format(key, kind.__name__, value))
        self._data[key] = value

    @staticmethod
    def _kind(key):
        if key not in _KINDS:
            raise ValueError("a treefile has no {!r}".format(key))
        return _KINDS[key]

    def dumps(self):
        return json.dumps(self._data)

    def dump(self, fp):
        json.dump(self._data, fp)

    @contextlib.contextmanager
    def as_tmp_file(self):
        """Yield the name of a file with it, which is gone afterwards."""
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8", delete=False) as file:
            self.dump(file)
        try:
            yield file.name
        finally:
            os.unlink(file.name)
