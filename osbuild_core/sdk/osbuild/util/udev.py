"""Keeping udev's rules away from devices that a build uses.

A file for each device in a known directory tells the rule that comes with osbuild's packages to leave the
device alone. Without that rule the file does nothing.
"""

import contextlib
import pathlib

LOCKDIR = "/run/osbuild/locks/udev"


class UdevInhibitor:
    """The file ``path`` of one device."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)

    @classmethod
    def for_dm_name(cls, name, lockdir=LOCKDIR):
        """Keep udev away from the device mapper's device ``name``."""
        return cls._made(lockdir, "dm-{}".format(name))

    @classmethod
    def for_device(cls, major, minor, lockdir=LOCKDIR):
        """Keep udev away from the device with these numbers."""
        return cls._made(lockdir, "device-{}:{}".format(major, minor))

    @classmethod
    def _made(cls, lockdir, name):
        made = cls(pathlib.Path(lockdir, name))
        made.inhibit()
        return made

    def inhibit(self):
        self.path.touch()

    def release(self):
        """Let udev at the device again; it may be so already."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    @property
    def active(self):
        return self.path.exists()
