"""What a process that is not trusted is put into: namespaces, a filter for system calls, limits of the kernel."""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import resource
import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from osbuild_core.sandbox.mounts import bind, make_devices, tmpfs

IDS = 65536
"""Users and groups that the user namespace has: packages may have files of any."""

PID = 0x20000000
MOUNT = 0x00020000
_USER = 0x10000000 | MOUNT | 0x08000000 | 0x04000000 | 0x40000000
"""CLONE_NEWUSER, and CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWNET in it (linux/sched.h)."""

_SYSTEM = frozenset(
    {
        "bin",
        "dev",
        "etc",
        "gnu",
        "lib",
        "lib32",
        "lib64",
        "libx32",
        "nix",
        "opt",
        "proc",
        "sbin",
        "sys",
        "usr",
    }
)
"""Directories of every machine; what is in them is no secret, or closed."""

_SMALL, _TEMPORARY = "4m", "64m"
"""Of file systems in memory."""

_libc = ctypes.CDLL(None, use_errno=True)

_CALLS = {
    "x86_64": (0xC000003E, 41, 53, 248, 250),
    "aarch64": (0xC00000B7, 198, 199, 217, 219),
    "riscv64": (0xC00000F3, 198, 199, 217, 219),
    "loongarch64": (0xC0000102, 198, 199, 217, 219),
}
"""By machine: AUDIT_ARCH (linux/audit.h), socket(2), socketpair(2), the first and the last call for keys (add_key(2),
keyctl(2))."""

_LOAD, _EQUAL, _FROM, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
"""linux/bpf_common.h"""

_IO_URING = (425, 427)
"""The first and the last of its calls, on every machine: it makes sockets, past any filter."""

_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
"""What a network namespace holds, of every type. VSOCK is none of them."""

_LOCAL = (socket.SOCK_SEQPACKET,)
"""Of UNIX sockets, which are found by their paths: what the engine and its modules talk by, and services of machines
hardly ever."""

_PAIRS = (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)
"""Of datagrams, either half of a pair could be connected to something else."""


def unshare(flags: int) -> None:
    """unshare(2). Raises OSError."""
    _check(_libc.unshare(flags))


def enter(descriptor: int, flags: int) -> None:
    """setns(2). Raises OSError."""
    _check(_libc.setns(descriptor, flags))


def become(user: int) -> None:
    """Be ``user`` and its group and nothing else, for good. Raises OSError."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def die_with_parent() -> None:
    """Have the kernel end this process when its parent ends (PR_SET_PDEATHSIG, prctl(2)). Raises OSError."""
    _check(_libc.prctl(1, ctypes.c_ulong(9), 0, 0, 0))


def own_processes() -> None:
    """Show the processes of this PID namespace in /proc, in a mount namespace of our own. Raises OSError."""
    unshare(MOUNT)
    # MS_REC | MS_PRIVATE; MS_NOSUID | MS_NODEV | MS_NOEXEC
    _check(_libc.mount(b"none", b"/", None, 0x4000 | 0x40000, None))
    _check(_libc.mount(b"proc", b"/proc", b"proc", 2 | 4 | 8, None))


def show_only(kept: Iterable[str], empty: Iterable[str]) -> None:
    """Hide what is neither the system's nor ``kept`` (a file or a directory; ``/`` is everything), and what is in the
    directories ``empty``. For a mount namespace of our own, as root; who enters a user namespace from there cannot
    undo it. Raises OSError."""
    paths = {path for one in kept for path in (os.path.abspath(one), os.path.realpath(one))}
    if "/" in paths:
        return
    held = {path: _opened(path) for path in sorted(paths)}
    # As they are, so that what was closed stays closed.
    above = {
        str(parent): os.stat(parent) for path in paths for parent in Path(path).parents if parent.exists()
    }
    covered = [
        entry.path
        for entry in os.scandir("/")
        if entry.is_dir(follow_symlinks=False) and entry.name not in _SYSTEM and entry.path not in paths
    ]
    for path in covered:
        tmpfs(Path(path), size=_SMALL)
    shown: list[str] = []
    for path, descriptor in held.items():
        if descriptor is None or not _is_below(path, covered):
            continue
        if not _is_below(path, shown):
            _make_place(path, above, is_directory=os.path.isdir(f"/proc/self/fd/{descriptor}"))
            bind(Path(f"/proc/self/fd/{descriptor}"), Path(path))
            shown.append(path)
        os.close(descriptor)
    for path in empty:
        if os.path.isdir(path):
            tmpfs(Path(path), size=_SMALL)
    tmpfs(Path("/dev"), size=_SMALL)
    make_devices(Path("/dev"))
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(f"/proc/self/{target}", f"/dev/{name}")
    tmpfs(Path("/dev/shm"), mode="1777", size=_TEMPORARY)
    for path in ("/tmp", "/var/tmp"):
        os.makedirs(path, exist_ok=True)
        if not any(one.startswith(f"{path}/") for one in shown):
            tmpfs(Path(path), mode="1777", size=_TEMPORARY)
        elif path in covered:
            os.chmod(path, 0o1777)


def _opened(path: str) -> int | None:
    try:
        return os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        # It is not there, or not even for root: not there then, either.
        return None


def _is_below(path: str, others: Iterable[str]) -> bool:
    return any(path == one or path.startswith(f"{one}/") for one in others)


def _make_place(path: str, above: Mapping[str, os.stat_result], *, is_directory: bool) -> None:
    """Make what ``path`` is to be shown at, in directories like those that are hidden now."""
    for parent in reversed(Path(path).parents):
        if not parent.exists():
            parent.mkdir()
            known = above[str(parent)]
            os.chown(parent, known.st_uid, known.st_gid)
            os.chmod(parent, known.st_mode & 0o7777)
    if is_directory:
        os.mkdir(path)
    else:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def nobody(first: int) -> None:
    """Become root of a new user namespace, which is ``first`` on the machine; mounts, IPC, the host name and the
    network are its own, too. For good; for a process with one thread. Raises OSError."""
    os.setgroups([])
    here = os.getpid()
    wait, go = os.pipe()
    outside = os.fork()
    if outside == 0:
        # It stays outside, and says who is who in there.
        status = 1
        try:
            os.close(go)
            if os.read(wait, 1):
                for name in ("uid_map", "gid_map"):
                    Path(f"/proc/{here}/{name}").write_text(f"0 {first} {IDS}\n")
                status = 0
        finally:
            os._exit(status)
    os.close(wait)
    try:
        unshare(_USER)
        os.write(go, b"x")
    finally:
        os.close(go)
        _, status = os.waitpid(outside, 0)
    if status != 0:
        raise OSError(1, os.strerror(1))
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def listener() -> socket.socket:
    """Return a socket that listens on loopback of a network namespace that has just begun. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any:
        # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING (netdevice(7))
        fcntl.ioctl(any, 0x8914, struct.pack("16sH14x", b"lo", 0x41))
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.bind(("127.0.0.1", 0))
    found.listen(1024)
    return found


def limit(memory: int, processes: int, file: int) -> None:
    """Set limits that the kernel keeps: bytes of data of each process, processes of each user, bytes of each file."""
    for what, wanted in (
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_FSIZE, file),
        # Not 0, with which a program of the machine could still be started for a crash (core(5)).
        (resource.RLIMIT_CORE, 1),
    ):
        _, most = resource.getrlimit(what)
        value = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(what, (value, value))


def filter_calls() -> None:
    """Refuse, from now on and for all that is started, what leads around the namespaces: sockets of other families,
    keys of the kernel, io_uring, and calls of other architectures. Raises OSError, also where the machine's calls are
    not known."""
    known = _CALLS.get(platform.machine())
    if known is None:
        raise OSError(38, f"no filter for system calls is known for {platform.machine()}")
    architecture, one, pair, first_key, last_key = known
    allow, refuse = (_RETURN, 0, 0, 0x7FFF0000), (_RETURN, 0, 0, 0x00050000 | 13)
    # seccomp(2): the number is at 0, the architecture at 4, arguments from 16 on. A jump counts from the next line.
    program = [
        *((_LOAD, 0, 0, 4), (_EQUAL, 1, 0, architecture), refuse),
        # The second ABI of x86_64 has numbers of its own.
        *((_LOAD, 0, 0, 0), (_FROM, 0, 1, 0x40000000), refuse),
        *((_FROM, 0, 2, first_key), (_FROM, 1, 0, last_key + 1), refuse),
        *((_FROM, 0, 2, _IO_URING[0]), (_FROM, 1, 0, _IO_URING[1] + 1), refuse),
    ]
    local = _among(24, 0xF, _LOCAL, allow, refuse)
    families = _among(16, 0xFFFFFFFF, _FAMILIES, allow, (_EQUAL, 0, len(local), socket.AF_UNIX))
    for call, rules in ((one, [*families, *local, refuse]), (pair, _among(24, 0xF, _PAIRS, allow, refuse))):
        program += [(_EQUAL, 0, len(rules), call), *rules]
    program.append(allow)
    code = b"".join(struct.pack("HBBI", *line) for line in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(buffer)))
    # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
    _check(_libc.prctl(22, 2, head, 0, 0))


_Line = tuple[int, int, int, int]


def _among(place: int, mask: int, good: Sequence[int], allow: _Line, otherwise: _Line) -> list[_Line]:
    """Return what allows a call whose argument at ``place`` is among ``good``, and else does the other."""
    tests = [line for value in good for line in ((_EQUAL, 0, 1, value), allow)]
    return [(_LOAD, 0, 0, place), (_AND, 0, 0, mask), *tests, otherwise]


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
