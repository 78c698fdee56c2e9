"""Loop devices by ioctl: a file, or a part of it, as a block device.

Devices are made with the flag that frees them when their last user has gone, so a killed process leaves none.
"""

import errno
import fcntl
import os
import stat
import struct
import time

LOOP_MAJOR = 7

_SET_FD = 0x4C00
_CLR_FD = 0x4C01
_SET_STATUS64 = 0x4C04
_GET_STATUS64 = 0x4C05
_SET_DIRECT_IO = 0x4C08
_CONFIGURE = 0x4C0A
_CTL_GET_FREE = 0x4C82
_BLKFLSBUF = 0x1261

_READ_ONLY = 1
_AUTOCLEAR = 4
_PARTSCAN = 8

# struct loop_info64: device, inode, rdevice, offset, sizelimit; number, encrypt type, key size, flags;
# file name, crypt name, encrypt key; init[2]
_INFO = struct.Struct("=QQQQQIIII64s64s32sQQ")
# struct loop_config: fd, block size, info, reserved[8]
_CONFIG = struct.Struct("=II{}s64s".format(_INFO.size))


class UnexpectedDevice(Exception):
    """A node that is no loop device, or another one than its name says."""


class LoopInfo:
    """What the kernel knows of a bound device; bytes, flags as in linux/loop.h."""

    def __init__(self, data):
        self.data = data
        fields = _INFO.unpack(data)
        self.lo_device, self.lo_inode, _, self.lo_offset, self.lo_sizelimit, self.lo_number = fields[:6]
        self.lo_flags = fields[8]
        self.lo_file_name = fields[9].rstrip(b"\0")

    @property
    def autoclear(self):
        return bool(self.lo_flags & _AUTOCLEAR)

    @property
    def partscan(self):
        return bool(self.lo_flags & _PARTSCAN)

    @property
    def read_only(self):
        return bool(self.lo_flags & _READ_ONLY)

    def is_bound_to(self, info):
        """Tell whether the device has the file that ``info``, a result of os.stat, is about."""
        return (self.lo_device, self.lo_inode) == (info.st_dev, info.st_ino)


class Loop:
    """The loop device number ``minor``, open. ``dir_fd`` is the directory with the nodes, /dev by default."""

    LOOP_MAJOR = LOOP_MAJOR

    def __init__(self, minor, dir_fd=None):
        self.minor = minor
        self.devname = "loop{}".format(minor)
        self.on_close = None
        """Called with the device when it is about to be closed."""
        self.fd = None
        self._sequence = None
        self.fd = self._open(dir_fd)
        info = os.fstat(self.fd)
        if not stat.S_ISBLK(info.st_mode) or info.st_rdev != os.makedev(LOOP_MAJOR, minor):
            self.close(wait=0)
            raise UnexpectedDevice("{} is not loop device {}".format(self.devname, minor))

    def _open(self, dir_fd):
        own = os.open("/dev", os.O_DIRECTORY | os.O_CLOEXEC) if dir_fd is None else None
        folder = own if dir_fd is None else dir_fd
        try:
            for attempt in (0, 1):
                try:
                    return os.open(self.devname, os.O_RDWR | os.O_CLOEXEC, dir_fd=folder)
                except FileNotFoundError:
                    # A /dev that the kernel does not keep (in a container) lacks the nodes of new devices.
                    if attempt:
                        raise
                    self.mknod(folder)
        finally:
            if own is not None:
                os.close(own)

    def configure(
        self, fd, offset=None, sizelimit=None, blocksize=0, partscan=False, read_only=False, autoclear=True
    ):
        """Bind the file ``fd`` to the device; ``offset``, ``sizelimit`` and ``blocksize`` are in bytes.

        Raises OSError: EBUSY where something is bound already.
        """
        flags = (
            (_READ_ONLY if read_only else 0)
            | (_AUTOCLEAR if autoclear else 0)
            | (_PARTSCAN if partscan else 0)
        )
        info = _INFO.pack(0, 0, 0, offset or 0, sizelimit or 0, 0, 0, 0, flags, b"", b"", b"", 0, 0)
        fcntl.ioctl(self.fd, _CONFIGURE, _CONFIG.pack(fd, blocksize or 0, info, b""))
        self._sequence = self._read_attribute("diskseq")

    def set_fd(self, fd):
        """Bind the file ``fd``; :meth:`configure` does that and the rest in one step. Raises OSError."""
        fcntl.ioctl(self.fd, _SET_FD, fd)
        self._sequence = self._read_attribute("diskseq")

    def set_status(self, offset=None, sizelimit=None, autoclear=None, partscan=None):
        """Change what is given of a bound device, as for :meth:`configure`; ``partscan`` stays. Raises OSError."""
        fields = list(_INFO.unpack(self.get_status().data))
        if offset is not None:
            fields[3] = offset
        if sizelimit is not None:
            fields[4] = sizelimit
        for flag, value in ((_AUTOCLEAR, autoclear), (_PARTSCAN, partscan)):
            if value is not None:
                fields[8] = fields[8] | flag if value else fields[8] & ~flag
        fcntl.ioctl(self.fd, _SET_STATUS64, _INFO.pack(*fields))

    def is_bound_to(self, fd):
        """Tell whether the device has the file ``fd``. Raises OSError."""
        try:
            return self.get_status().is_bound_to(os.fstat(fd))
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return False

    def get_status(self):
        """Return the LoopInfo. Raises OSError: ENXIO where nothing is bound."""
        return LoopInfo(fcntl.ioctl(self.fd, _GET_STATUS64, bytes(_INFO.size)))

    def set_direct_io(self, value=True):
        """Let the device pass the page cache by. Raises OSError where the file system cannot."""
        fcntl.ioctl(self.fd, _SET_DIRECT_IO, int(value))

    def flock(self, operation):
        """Lock the device as udev respects it; ``operation`` is one of fcntl.LOCK_*."""
        fcntl.flock(self.fd, operation)

    def flush_buf(self):
        """Hand what is written to the device on to the file; that is not forced onto the disk."""
        fcntl.ioctl(self.fd, _BLKFLSBUF)

    def clear_fd(self):
        """Take the file away from the device, at the latest when its last user has gone."""
        fcntl.ioctl(self.fd, _CLR_FD)

    def clear_fd_wait(self, fd, timeout, wait=0.1):
        """Take the file ``fd`` away, and wait up to ``timeout`` seconds, looking every ``wait``, until it is.

        Raises TimeoutError while something else uses the device.
        """
        end = time.monotonic() + timeout
        while self.is_bound_to(fd):
            try:
                self.clear_fd()
            except OSError as error:
                # Somebody else has taken it away.
                if error.errno != errno.ENXIO:
                    raise
            if not self.is_bound_to(fd):
                return
            if time.monotonic() >= end:
                raise TimeoutError("loop device {} is still in use".format(self.devname))
            time.sleep(wait)

    def partitions(self):
        """Return {partition number: (major, minor)} as the kernel has found them."""
        found = {}
        base = "/sys/block/{}".format(self.devname)
        for name in os.listdir(base):
            if not name.startswith(self.devname + "p"):
                continue
            with open("{}/{}/dev".format(base, name)) as file:
                major, minor = file.read().strip().split(":")
            found[int(name[len(self.devname) + 1 :])] = (int(major), int(minor))
        return found

    def mknod(self, dir_fd, mode=0o600):
        """Make the node of the device in the directory ``dir_fd``; it may be there already."""
        try:
            os.mknod(self.devname, mode | stat.S_IFBLK, os.makedev(LOOP_MAJOR, self.minor), dir_fd=dir_fd)
        except FileExistsError:
            return

    def close(self, wait=10.0):
        """Flush and close the device, then wait up to ``wait`` seconds until the kernel has freed it.

        A device that had nothing bound to it here is only closed. Raises TimeoutError while something else uses it.
        """
        if self.fd is None:
            return
        if self.on_close is not None:
            self.on_close(self)
        fd, self.fd = self.fd, None
        bound = self._sequence is not None
        try:
            if bound:
                fcntl.ioctl(fd, _BLKFLSBUF)
        finally:
            os.close(fd)
        end = time.monotonic() + wait
        while bound and self._is_bound():
            if time.monotonic() >= end:
                raise TimeoutError("loop device {} is still in use".format(self.devname))
            time.sleep(0.005)

    def _is_bound(self):
        # The number counts up with each binding, so that another's use of the same device is told apart.
        return (
            self._read_attribute("loop/backing_file") is not None
            and self._read_attribute("diskseq") == self._sequence
        )

    def _read_attribute(self, name):
        try:
            with open("/sys/block/{}/{}".format(self.devname, name), errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class LoopControl:
    """The kernel's list of loop devices. ``dir_fd`` is the directory with the nodes, /dev by default."""

    def __init__(self, dir_fd=None):
        name = "loop-control" if dir_fd is not None else "/dev/loop-control"
        self.dir_fd = dir_fd
        self.fd = None
        try:
            self.fd = os.open(name, os.O_RDWR | os.O_CLOEXEC, dir_fd=dir_fd)
        except OSError as error:
            # As in a container that was not given any.
            text = "there are no loop devices here: {}".format(os.strerror(error.errno))
            raise OSError(error.errno, text, name) from error

    def get_unbound(self):
        """Return the number of a device that was free a moment ago, made if need be."""
        return fcntl.ioctl(self.fd, _CTL_GET_FREE)

    def loop_for_fd(self, fd, lock=False, setup=None, **config):
        """Return a Loop bound to the file ``fd``, with ``config`` as for :meth:`Loop.configure`.

        ``lock`` keeps udev away from it. ``setup`` is called with the device before it is bound. Raises OSError.
        """
        while True:
            loop = Loop(self.get_unbound(), self.dir_fd)
            try:
                if lock:
                    loop.flock(fcntl.LOCK_EX | fcntl.LOCK_NB)
                if setup is not None:
                    setup(loop)
                loop.configure(fd, **config)
                return loop
            except OSError as error:
                loop.close()
                # Somebody else was faster; there are others.
                if error.errno not in (errno.EBUSY, errno.EAGAIN, errno.ENXIO):
                    raise
            except BaseException:
                loop.close()
                raise

    def close(self):
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
