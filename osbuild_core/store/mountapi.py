"""System calls that Python does not offer: mounts, namespaces, file handles.

Imported only where a mount is made (ctypes costs some milliseconds). All calls work from any thread, act on
that thread's mount namespace and raise OSError.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

_libc = ctypes.CDLL(None, use_errno=True)

# The newer mount calls have the same numbers on every architecture.
_SYS_MOVE_MOUNT = 429
_SYS_FSOPEN = 430
_SYS_FSCONFIG = 431
_SYS_FSMOUNT = 432

_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOUNT_ATTR_RDONLY = 1
_CLOEXEC = 1
_CLONE_NEWNS = 0x00020000
_MNT_DETACH = 2
_AT_FDCWD = -100

MS_RDONLY = 1
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18

_IN_UNMOUNT = 0x2000
_IN_ONLYDIR = 0x01000000

Text = str | os.PathLike[str]


def _checked(result: int, path: Text | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), None if path is None else os.fspath(path))
    return result


def unshare_mounts() -> None:
    """Give the calling thread a mount namespace of its own (and its own cwd and umask with it)."""
    _checked(_libc.unshare(ctypes.c_int(_CLONE_NEWNS)))


def mount(source: Text | None, target: Text, kind: str | None, flags: int, data: str | None = None) -> None:
    """Call mount(2)."""
    result = _libc.mount(
        None if source is None else os.fsencode(source),
        os.fsencode(target),
        None if kind is None else kind.encode(),
        ctypes.c_ulong(flags),
        None if data is None else os.fsencode(data),
    )
    _checked(result, target)


def bind(source: Text, target: Text, *, read_only: bool = False) -> None:
    """Make ``source`` visible at ``target``, one file system deep."""
    mount(source, target, None, MS_BIND)
    if read_only:
        mount(None, target, None, MS_BIND | MS_REMOUNT | MS_RDONLY)


def lift_restrictions(target: Text) -> None:
    """Let programs on the bind mount ``target`` run, also set-uid ones, whatever its file system was mounted with.

    Raises PermissionError where whoever mounted that has more rights than we have.
    """
    mount(None, target, None, MS_BIND | MS_REMOUNT)


def rename_new(source: Text, target: Text) -> None:
    """Call renameat2(2) so that it replaces nothing; FileExistsError where the name is taken."""
    no_replace = ctypes.c_uint(1)
    result = _libc.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), no_replace)
    _checked(result, target)


def umount(target: Text, *, lazy: bool = False) -> None:
    """Unmount ``target``; EBUSY where it is in use, unless ``lazy``."""
    _checked(_libc.umount2(os.fsencode(target), ctypes.c_int(_MNT_DETACH if lazy else 0)), target)


def mount_new(kind: str, options: Iterable[tuple[str, str | None]], target: Text, *, read_only: bool) -> None:
    """Make a file system and attach it at ``target``; options without a value are flags."""
    context = _checked(_libc.syscall(ctypes.c_long(_SYS_FSOPEN), kind.encode(), ctypes.c_uint(_CLOEXEC)))
    try:
        for name, value in options:
            _configure(context, _FSCONFIG_SET_FLAG if value is None else _FSCONFIG_SET_STRING, name, value)
        _configure(context, _FSCONFIG_CMD_CREATE, None, None)
        mounted = _checked(
            _libc.syscall(
                ctypes.c_long(_SYS_FSMOUNT),
                ctypes.c_int(context),
                ctypes.c_uint(_CLOEXEC),
                ctypes.c_uint(_MOUNT_ATTR_RDONLY if read_only else 0),
            )
        )
    finally:
        os.close(context)
    try:
        _checked(
            _libc.syscall(
                ctypes.c_long(_SYS_MOVE_MOUNT),
                ctypes.c_int(mounted),
                b"",
                ctypes.c_int(_AT_FDCWD),
                os.fsencode(target),
                ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH),
            ),
            target,
        )
    finally:
        os.close(mounted)


def _configure(context: int, command: int, name: str | None, value: str | None) -> None:
    result = _libc.syscall(
        ctypes.c_long(_SYS_FSCONFIG),
        ctypes.c_int(context),
        ctypes.c_uint(command),
        None if name is None else name.encode(),
        None if value is None else os.fsencode(value),
        ctypes.c_int(0),
    )
    if result < 0:
        number = ctypes.get_errno()
        try:
            # The context explains itself in lines such as "e overlay: reason".
            said = os.read(context, 4096).decode(errors="replace").strip()
        except OSError:
            said = name or ""
        raise OSError(number, f"{os.strerror(number)}{f': {said}' if said else ''}")


def syncfs(directory: Text) -> None:
    """Write everything of the file system of ``directory`` to its disk."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _checked(_libc.syncfs(ctypes.c_int(fd)), directory)
    finally:
        os.close(fd)


def inode_of_handle(mount_fd: int, kind: int, handle: bytes) -> int:
    """Return the inode number behind a file handle; ``mount_fd`` is any open file of its file system."""
    block = ctypes.create_string_buffer(struct.pack("=Ii", len(handle), kind) + handle, 8 + len(handle))
    flags = os.O_PATH | os.O_CLOEXEC
    fd = _checked(_libc.open_by_handle_at(ctypes.c_int(mount_fd), block, ctypes.c_int(flags)))
    try:
        return os.fstat(fd).st_ino
    finally:
        os.close(fd)


def watch_unmount(directory: Text) -> int:
    """Return a descriptor for :func:`is_gone`; it does not keep the file system of ``directory`` busy."""
    fd = _checked(_libc.inotify_init1(ctypes.c_int(os.O_NONBLOCK | os.O_CLOEXEC)))
    try:
        _checked(
            _libc.inotify_add_watch(
                ctypes.c_int(fd), os.fsencode(directory), ctypes.c_uint32(_IN_UNMOUNT | _IN_ONLYDIR)
            ),
            directory,
        )
    except BaseException:
        os.close(fd)
        raise
    return fd


def is_gone(watch: int) -> bool:
    """Tell whether the watched file system is no longer mounted anywhere, in no namespace."""
    try:
        return bool(os.read(watch, 4096))
    except BlockingIOError:
        return False
