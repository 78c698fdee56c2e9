"""Overlay mounts: the tree that a stage works on, and the same tree to read."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from pathlib import Path

from osbuild_core.model.errors import StoreError
from osbuild_core.store import mountapi
from osbuild_core.store.namespace import mount_options

# Without them a rename of a directory fails, a chown copies the file, hard links break. The kernel turns
# them off without a word where it cannot have them, so they are looked at after mounting.
REQUIRED = frozenset({"redirect_dir=on", "metacopy=on", "index=on"})
_REQUIRED_TO_READ = REQUIRED - {"index=on"}

BUSY_SECONDS = 1.0
_POLL_SECONDS = 0.01

_OWN = ("trusted.overlay.", "user.overlay.")


def seed_root(layer: str, source: str) -> None:
    """Give the root of a new layer the mode, owner, attributes and times of the tree's root as it was.

    Overlayfs takes them from the topmost layer, so a bare one would reset them.
    """
    status = os.stat(source)
    os.chown(layer, status.st_uid, status.st_gid)
    os.chmod(layer, status.st_mode & 0o7777)
    for name in os.listxattr(source):
        if not name.startswith(_OWN):
            os.setxattr(layer, name, os.getxattr(source, name))
    os.utime(layer, ns=(status.st_atime_ns, status.st_mtime_ns))


def mount_writable(target: Path, upper: Path, work: Path, lowers: Sequence[Path], empty: Path) -> None:
    """Mount ``lowers`` (newest first) with ``upper`` on top at ``target``.

    ``work`` is a fresh directory beside ``upper``; ``empty`` a directory that stays empty and the same for as
    long as ``upper`` may be mounted again. Raises StoreError where an option is not to be had.
    """
    options = [
        ("redirect_dir", "on"),
        ("metacopy", "on"),
        ("index", "on"),
        ("xino", "auto"),
        ("volatile", None),
    ]
    with _Spelling() as spelling:
        paths = [("upperdir", spelling(upper)), ("workdir", spelling(work))]
        _mount(target, [*options, *paths], [*map(spelling, lowers), spelling(empty)], read_only=False)
    _require(target, REQUIRED)


def mount_readable(target: Path, lowers: Sequence[Path], empty: Path) -> None:
    """Mount ``lowers`` (newest first) at ``target``, read-only."""
    options: list[tuple[str, str | None]] = [("redirect_dir", "on"), ("metacopy", "on"), ("xino", "auto")]
    with _Spelling() as spelling:
        _mount(target, options, [*map(spelling, lowers), spelling(empty)], read_only=True)
    _require(target, _REQUIRED_TO_READ)


def unmount(target: Path, watch: int | None = None) -> bool:
    """Unmount ``target``, waiting a moment for what still uses it; False where it stays in use.

    With ``watch`` (of :func:`mountapi.watch_unmount`) the file system itself must be gone too: a process in
    another mount namespace keeps it alive, and could write on, without making this mount busy.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    mounted = True
    while True:
        if mounted:
            try:
                mountapi.umount(target)
                mounted = False
            except OSError as error:
                if error.errno == errno.EINVAL:
                    # Not a mount point (any more).
                    mounted = False
                elif error.errno != errno.EBUSY:
                    raise
        if not mounted and (watch is None or mountapi.is_gone(watch)):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)


class _Spelling:
    """Writes paths so that the mount call takes them: it refuses more than 255 bytes and undoes escapes."""

    def __init__(self) -> None:
        self._fds: dict[str, int] = {}

    def __enter__(self) -> _Spelling:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._fds.values():
            os.close(fd)

    def __call__(self, path: Path) -> str:
        # Two levels up is objects/, whose descriptor serves every layer.
        root, key, name = str(path).rsplit("/", 2)
        fd = self._fds.get(root)
        if fd is None:
            # Opened anew for each mount: it has to be of this thread's namespace.
            fd = self._fds[root] = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{fd}/{key}/{name}"


def _mount(
    target: Path, options: Sequence[tuple[str, str | None]], lowers: Sequence[str], *, read_only: bool
) -> None:
    if appends_lowers():
        every = [*options, *(("lowerdir+", lower) for lower in lowers)]
        mountapi.mount_new("overlay", every, target, read_only=read_only)
        return
    _mount_by_string(target, options, lowers, read_only=read_only)


def appends_lowers() -> bool:
    """Whether the kernel takes lower directories one by one (about Linux 6.8 on)."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int("".join(c for c in minor if c.isdigit()) or 0)) >= (6, 8)


def _mount_by_string(
    target: Path, options: Sequence[tuple[str, str | None]], lowers: Sequence[str], *, read_only: bool
) -> None:
    """Mount with mount(2), whose options all have to fit on a page: the lower ones go by short links."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="layers-", dir=target.parent) as directory:
        for index, lower in enumerate(lowers):
            os.symlink(lower, f"{directory}/{index}")
        fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            stack = ":".join(f"/proc/self/fd/{fd}/{index}" for index in range(len(lowers)))
            parts = [name if value is None else f"{name}={value}" for name, value in options]
            data = ",".join([*parts, f"lowerdir={stack}"])
            mountapi.mount("overlay", target, "overlay", mountapi.MS_RDONLY if read_only else 0, data)
        finally:
            os.close(fd)


def _require(target: Path, wanted: frozenset[str]) -> None:
    missing = wanted - mount_options(target)
    if missing:
        mountapi.umount(target)
        raise StoreError(
            f"the kernel does not give overlay mounts {', '.join(sorted(missing))} here",
            code="store.overlay",
            hint="use --store-backend copy",
        )
