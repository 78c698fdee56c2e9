"""Mounts by system call, in the mount namespace of the calling thread."""

import enum
import errno
import os
import time

from osbuild.util import linux

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_NOATIME = 1024
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18

MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

_FLAGS = {
    "ro": MS_RDONLY,
    "nosuid": MS_NOSUID,
    "nodev": MS_NODEV,
    "noexec": MS_NOEXEC,
    "noatime": MS_NOATIME,
}


class MountPermissions(enum.Enum):
    """How a mount of :class:`MountGuard` may be used."""

    READ_WRITE = "rw"
    READ_ONLY = "ro"


class MountGuard:
    """Context manager: the mounts that are made with it are gone when it is left.

    ``with MountGuard() as guard: guard.mount(source, target)``; or call :meth:`umount` at the end.
    """

    def __init__(self):
        self.mounts = []
        """(source, target) of those that are there, in the order of their mounting."""

    def mount(self, source, target, bind=True, remount=False, permissions=None, mode="0755"):
        """Bind ``source``, without what is mounted below it, to ``target``, which has to be there.

        ``permissions`` is one of MountPermissions, None to leave it as it is at ``source``; ``remount`` changes them
        on a mount that is there already. ``mode`` is of no use here. Raises OSError, ValueError.
        """
        if not bind:
            raise ValueError("only bind mounts are made this way, see mount_filesystem")
        if permissions is not None and permissions not in list(MountPermissions):
            raise ValueError("not a MountPermissions: {!r}".format(permissions))
        source, target = os.fspath(source), os.fspath(target)
        _guarded_bind(source, target, remount, permissions)
        if not remount:
            self.mounts.append((source, target))

    def umount(self):
        """Unmount all, the last one first. Raises OSError; those not reached stay in ``mounts``."""
        while self.mounts:
            umount(self.mounts[-1][1])
            self.mounts.pop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.umount()


def _guarded_bind(source, target, remount, permissions):
    if not remount:
        linux.call("mount", source, target, None, MS_BIND, None)
    try:
        linux.call("mount", None, target, None, MS_PRIVATE, None)
        if permissions is not None:
            flags = _flags_of(target) & ~MS_RDONLY
            if permissions is MountPermissions.READ_ONLY:
                flags |= MS_RDONLY
            linux.call("mount", None, target, None, MS_REMOUNT | MS_BIND | flags, None)
    except OSError:
        if not remount:
            linux.call("umount2", target, MNT_DETACH)
        raise


def _flags_of(target):
    """Return the flags of the mount at ``target``: a remount would drop those that it is not told."""
    found = os.statvfs(target).f_flag
    # statvfs(3) and mount(2) have the same bits for these.
    return found & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME)


def mount(source, target, bind=True, ro=True, private=True, mode="0755"):
    """Bind ``source`` (with what is mounted below it) to ``target``, which is made with ``mode`` if need be.

    ``ro`` makes the mount itself read-only, not those below it. Raises OSError; nothing stays mounted then.
    """
    if not bind:
        raise ValueError("only bind mounts are made this way, see mount_filesystem")
    if not os.path.lexists(target):
        _make_mountpoint(source, target, int(mode, 8))
    linux.call("mount", source, target, None, MS_BIND | MS_REC, None)
    try:
        if private:
            linux.call("mount", None, target, None, MS_REC | MS_PRIVATE, None)
        if ro:
            linux.call("mount", None, target, None, MS_REMOUNT | MS_BIND | MS_RDONLY, None)
    except OSError:
        linux.call("umount2", target, MNT_DETACH)
        raise


def _make_mountpoint(source, target, mode):
    if os.path.isdir(source):
        os.makedirs(target, mode)
    else:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def mount_filesystem(source, target, fstype, options=()):
    """Mount the device ``source`` at ``target``. ``options`` are words as mount(8) has them after ``-o``.

    Raises OSError, whose text names both paths.
    """
    flags = 0
    data = []
    for option in options:
        if option in _FLAGS:
            flags |= _FLAGS[option]
        elif option not in ("rw", "defaults"):
            data.append(option)
    try:
        linux.call("mount", source, target, fstype, flags, ",".join(data) or None)
    except OSError as error:
        reason = os.strerror(error.errno)
        if error.errno == errno.ENODEV:
            reason = "the kernel has no such file system"
        text = "cannot mount {} ({}) at {}: {}".format(source, fstype, target, reason)
        raise OSError(error.errno, text) from error


def mount_with_arguments(source, target, arguments):
    """Mount ``source`` at ``target`` as ``mount ARGUMENTS SOURCE TARGET`` does.

    A type (``-t``) and options (``-o``) go straight to the kernel; the mount program is run for anything else, and to
    find out a type that is not given.
    """
    fstype, options, rest = None, [], list(arguments)
    while len(rest) >= 2 and rest[0] in ("-t", "-o"):
        if rest[0] == "-t":
            fstype = rest[1]
        else:
            options += rest[1].split(",")
        rest = rest[2:]
    # An extra helper or the loop option are mount(8)'s own business.
    if fstype and not rest and "loop" not in options:
        mount_filesystem(source, target, fstype, options)
        return
    import subprocess

    command = ["mount"] + list(arguments) + ["--source", source, "--target", target]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise OSError(
            "cannot mount {} at {}: {}".format(source, target, done.stdout.decode(errors="replace").strip())
        )


def umount(target, lazy=False, patience=5.0):
    """Unmount what is mounted at ``target`` with what is mounted below it, the innermost first.

    While it is in use, try again for ``patience`` seconds. ``lazy`` only takes it out of the way. Raises OSError.
    """
    flags = UMOUNT_NOFOLLOW | (MNT_DETACH if lazy else 0)
    end = time.monotonic() + patience
    while True:
        try:
            linux.call("umount2", target, flags)
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() >= end:
                raise OSError(
                    error.errno, "cannot unmount {}: {}".format(target, os.strerror(error.errno))
                ) from error
        below = mounted_below(target, itself=False)
        if below:
            umount(below[-1], patience=patience)
        else:
            time.sleep(0.01)


def sync_filesystem(path):
    """Write out what is not written yet of the file system that ``path`` is on."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        linux.call("syncfs", fd)
    finally:
        os.close(fd)


def umount_below(target):
    """Unmount what is mounted at ``target`` and below it, the innermost first. Raises OSError."""
    for path in reversed(mounted_below(target)):
        umount(path)


def mounted_below(target, itself=True):
    """Return the mount points at and below ``target`` in the order of their mounting.

    ``itself`` tells whether ``target`` is to be among them.
    """
    root = os.path.realpath(target)
    found = []
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            point = os.fsdecode(_unescaped(line.split(b" ")[4]))
            if (itself and point == root) or point.startswith(root.rstrip("/") + "/"):
                found.append(point)
    return found


def _unescaped(field):
    import re

    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match.group(1), 8)]), field)
