"""Devices: services that give a stage a block device."""

import abc
import os

from osbuild import host


class DeviceService(host.Service):
    """Base of devices."""

    @abc.abstractmethod
    def open(self, devpath, parent, tree, options):
        """Open the device and make its node in the directory ``devpath``, which the stage sees as /dev.

        ``parent`` is the path, relative to ``devpath``, of the node of the device that this one is on, or None;
        ``tree`` is the stage's tree. Returns ``{"path": name relative to devpath, "node": {"major", "minor"}}``
        and what else there is to say.
        """

    @abc.abstractmethod
    def close(self):
        """Free the device; called once the stage has ended, also when ``open`` was not or failed."""

    def stop(self):
        self.close()

    def dispatch(self, method, args, fds):
        if method == "open":
            return self.open(args["dev"], args.get("parent"), args["tree"], args["options"]), None
        if method == "close":
            self.close()
            return None, None
        raise host.ProtocolError("a device has no method {!r}".format(method))

    @staticmethod
    def ensure_device_node(path, major, minor, dir_fd=None):
        """Make a block device node at ``path``; it may be there already."""
        import stat

        try:
            os.mknod(path, 0o600 | stat.S_IFBLK, os.makedev(major, minor), dir_fd=dir_fd)
        except FileExistsError:
            return
