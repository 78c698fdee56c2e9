"""The few mounts that a sandbox needs outside of it, by system call (mount(2)): a process each is too slow."""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
from pathlib import Path

MS_RDONLY = 1
MS_NOSUID = 2
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MNT_DETACH = 2

DEVICES = {
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}
"""Major and minor numbers of the devices that every sandbox has (Documentation/admin-guide/devices.txt)."""

FUSE = (10, 229)

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path, kind: str | None, flags: int = 0, data: str | None = None) -> None:
    """Call mount(2). Raises OSError."""
    result = _libc.mount(
        source.encode(),
        os.fsencode(target),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        data.encode() if data else None,
    )
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def bind(source: Path, target: Path) -> None:
    """Show ``source``, with what is mounted below it, at ``target``. Raises OSError."""
    mount(str(source), target, None, MS_BIND | MS_REC)


def tmpfs(target: Path, *, mode: str = "0755", size: str = "50%") -> None:
    """Mount an empty tmpfs that can hold device nodes; it takes memory only as it fills. Raises OSError."""
    mount("tmpfs", target, "tmpfs", MS_NOSUID, f"mode={mode},size={size}")


def make_devices(directory: Path) -> None:
    """Create the device nodes of a sandbox's ``/dev`` in ``directory``, which must be on a tmpfs of ours."""
    nodes = dict(DEVICES)
    if os.path.exists("/dev/fuse"):
        nodes["fuse"] = FUSE
    for name, (major, minor) in nodes.items():
        path = directory / name
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(major, minor))
        except PermissionError:
            # Root of a user namespace may make none. The machine's do the same.
            path.touch()
            bind(Path("/dev") / name, path)
        else:
            os.chmod(path, 0o666)  # whatever the umask
    (directory / "shm").mkdir()


SYS_OPENAT2 = 437
RESOLVE_IN_ROOT = 0x10


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_in_root(root: Path, path: str) -> int:
    """Open ``path`` of the tree ``root`` and return the descriptor, for use as a path only.

    Links are followed as if ``root`` were the root directory, so none leads out of it (openat2(2)).
    Raises OSError.
    """
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    how = _OpenHow(os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT)
    try:
        fd = _libc.syscall(SYS_OPENAT2, directory, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))
    finally:
        os.close(directory)
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return int(fd)


def unmount(target: Path) -> None:
    """Unmount what is mounted at ``target``. Raises OSError."""
    if _libc.umount2(os.fsencode(target), 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def mounts_below(directory: Path) -> list[Path]:
    """Return what is mounted below ``directory`` in the calling thread's namespace, the last one first."""
    prefix = os.fsencode(directory) + b"/"
    found: list[Path] = []
    with open("/proc/thread-self/mountinfo", "rb") as file:
        for line in file:
            path = line.split(b" ", 5)[4]
            if b"\\" in path:
                # proc(5): space, tab, newline and backslash are octal.
                path = path.decode("unicode_escape").encode("latin-1")
            if path.startswith(prefix):
                found.append(Path(os.fsdecode(path)))
    return found[::-1]


def unmount_below(directory: Path) -> list[Path]:
    """Unmount all that is mounted below ``directory``; return what was busy and could only be detached."""
    busy = []
    for path in mounts_below(directory):
        if _libc.umount2(os.fsencode(path), 0) != 0:
            busy.append(path)
            with contextlib.suppress(OSError):
                _libc.umount2(os.fsencode(path), MNT_DETACH)
    return busy
