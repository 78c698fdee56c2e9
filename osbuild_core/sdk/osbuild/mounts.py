"""Mounts: services that mount file systems for a stage, in the mount namespace that they run in."""

import abc
import os

from osbuild import host
from osbuild.util import mnt
from osbuild.util.path import resolve


class MountService(host.Service):
    """Base of mounts."""

    @abc.abstractmethod
    def mount(self, args):
        """Mount what ``args`` say and return the path of the mount below ``args["root"]``, or None.

        ``args`` has ``source`` (path of the device, or None), ``target`` (path below ``root``), ``root``
        (directory of all mounts), ``tree`` and ``options``.
        """

    @abc.abstractmethod
    def umount(self):
        """Undo ``mount``; called once the stage has ended, also when ``mount`` was not called or failed."""

    def stop(self):
        self.umount()

    def dispatch(self, method, args, fds):
        if method == "mount":
            return self.mount(args), None
        if method == "umount":
            self.umount()
            return None, None
        raise host.ProtocolError("a mount has no method {!r}".format(method))


class FileSystemMountService(MountService):
    """Base of mounts of a file system on a block device."""

    def __init__(self, args):
        super().__init__(args)
        self.mountpoint = None

    def translate_options(self, options):
        """Return the arguments of mount(8) that the module's ``options`` mean (``["-t", "xfs", "-o", "ro"]``)."""
        words = []
        for name, word in (("readonly", "ro"), ("norecovery", "norecovery")):
            if options.get(name):
                words.append(word)
        for name in ("uid", "gid", "umask", "shortname", "subvol", "compress"):
            if name in options:
                if "," in str(options[name]):
                    raise ValueError(
                        "{}: a mount option cannot have a comma: {!r}".format(name, options[name])
                    )
                words.append("{}={}".format(name, options[name]))
        return ["-o", ",".join(words)] if words else []

    def mount(self, args):
        target = resolve(args["root"], args["target"] or "")
        os.makedirs(target, exist_ok=True)
        mnt.mount_with_arguments(args["source"], target, self.translate_options(args["options"] or {}))
        self.mountpoint = target
        return target

    def sync(self):
        """Write out what was written to the mount."""
        mnt.sync_filesystem(self.mountpoint)

    def umount(self):
        if not self.mountpoint:
            return
        self.sync()
        # No lazy unmount: the device below is taken away next, and would take unwritten data with it.
        mnt.umount(self.mountpoint)
        self.mountpoint = None
