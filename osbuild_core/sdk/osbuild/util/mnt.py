"""Mounts by system call, in the mount namespace of the calling thread."""

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
        text = "cannot mount {} ({}) at {}: {}".format(source, fstype, target, os.strerror(error.errno))
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
    """Unmount what is mounted at ``target``; while it is in use, try again for ``patience`` seconds.

    ``lazy`` only takes it out of the way. Raises OSError.
    """
    import errno

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


def mounted_below(target):
    """Return the mount points at and below ``target`` in the order of their mounting."""
    root = os.path.realpath(target)
    found = []
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            point = os.fsdecode(_unescaped(line.split(b" ")[4]))
            if point == root or point.startswith(root.rstrip("/") + "/"):
                found.append(point)
    return found


def _unescaped(field):
    import re

    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match.group(1), 8)]), field)
