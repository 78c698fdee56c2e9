"""One frozen description of a sandbox, and the bubblewrap call that it becomes (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

LAYOUT_VERSION = 1
"""Part of every key: raise it when a change of the layout may change what stages make."""

API = "/run/osbuild/api"
ARGUMENTS = "/run/osbuild/api/arguments"
BIN = "/run/osbuild/bin"
INPUTS = "/run/osbuild/inputs"
LIB = "/run/osbuild/lib"
META = "/run/osbuild/meta"
MOUNTS = "/run/osbuild/mounts"
RUNNER = "/run/osbuild/runner"
TREE = "/run/osbuild/tree"

SECCOMP_FD = 3
"""The descriptor that bubblewrap reads the filter of system calls from."""


class Bind(NamedTuple):
    """``source`` of the host shows at ``target`` in the sandbox: read-only, writable, or with devices."""

    source: str
    target: str
    mode: Literal["ro", "rw", "dev"] = "ro"

    def argv(self) -> tuple[str, str, str]:
        option = {"ro": "--ro-bind", "rw": "--bind", "dev": "--dev-bind"}[self.mode]
        return option, self.source, self.target


class SandboxSpec(NamedTuple):
    """A program in a sandbox.

    ``usr`` and ``boot`` are directories of the build tree, shown read-only (``boot`` None: not shown).
    ``dev``, ``etc`` and ``var`` are the directories shown there, writable. ``binds`` come after these,
    in order. ``capabilities`` is the whole set. ``timeout`` is in seconds. ``seccomp`` is a filter of system calls
    (seccomp(2)).
    """

    argv: tuple[str, ...]
    usr: str
    dev: str
    etc: str
    var: str
    cmdline: str
    boot: str | None = None
    binds: tuple[Bind, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    capabilities: frozenset[str] = frozenset()
    timeout: float | None = None
    seccomp: bytes | None = None

    def all_binds(self) -> Iterator[Bind]:
        if self.boot is not None:
            yield Bind(self.boot, "/boot")
        yield Bind(self.usr, "/usr")
        yield Bind(self.dev, "/dev", "dev")
        yield Bind(self.etc, "/etc", "rw")
        yield Bind(self.var, "/var", "rw")


def bubblewrap_argv(spec: SandboxSpec, program: str = "bwrap", *, selinux: bool = False) -> list[str]:
    """Return the bubblewrap command line (bwrap(1)) of ``spec``.

    ``selinux`` tells whether the host has selinuxfs mounted, which stages that label files need.
    """
    # No --new-session: the spawner starts bubblewrap in a session of its own, and knows by its process
    # group what belongs to it.
    argv = [program, "--chdir", "/", "--die-with-parent"]
    argv += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--cap-drop", "ALL"]
    for capability in sorted(spec.capabilities):
        argv += ["--cap-add", capability]
    if spec.seccomp is not None:
        argv += ["--seccomp", str(SECCOMP_FD)]
    for link in ("lib", "lib64", "bin", "sbin"):
        argv += ["--symlink", f"usr/{link}", f"/{link}"]
    for bind in spec.all_binds():
        argv += bind.argv()
    argv += ["--tmpfs", "/run", "--tmpfs", "/tmp", "--tmpfs", "/dev/shm"]
    argv += ["--proc", "/proc", "--ro-bind", spec.cmdline, "/proc/cmdline", "--ro-bind", "/sys", "/sys"]
    if selinux:
        argv += ["--ro-bind", "/sys/fs/selinux", "/sys/fs/selinux"]
    for bind in spec.binds:
        argv += bind.argv()
    return [*argv, "--", *spec.argv]


def environment(
    term: str | None, source_epoch: int | None, experimental: str = ""
) -> tuple[tuple[str, str], ...]:
    """Return the environment of a stage; ``source_epoch`` is in seconds since 1970.

    ``experimental`` are switches, separated by commas; with ``debug-qemu-user``, emulators say what they lack.
    """
    pairs = [
        ("container", "bwrap-osbuild"),
        ("LC_CTYPE", "C.UTF-8"),
        ("PATH", "/usr/sbin:/usr/bin"),
        ("PYTHONPATH", LIB),
        ("PYTHONUNBUFFERED", "1"),
        ("TERM", term or "dumb"),
    ]
    if source_epoch is not None:
        pairs.append(("SOURCE_DATE_EPOCH", str(source_epoch)))
    if "debug-qemu-user" in experimental.split(","):
        pairs.append(("QEMU_LOG", "unimp"))
    return tuple(pairs)
