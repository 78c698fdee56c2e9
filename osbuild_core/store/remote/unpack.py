"""Makes the changes that a tar tells in a tree. What is in the tar may be wrong, but never gets out of the tree."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Mapping

from osbuild_core.store import inodeflags
from osbuild_core.store.remote.member import Member, damaged
from osbuild_core.store.remote.tarreader import Reader
from osbuild_core.store.removal import remove_tree

_OPAQUE = "trusted.overlay.opaque"
_LABEL = "security.selinux"


def unpack(
    reader: Reader,
    tree: str,
    *,
    flags: bool,
    layer: bool = False,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Apply the members that ``reader`` yields to ``tree``, which nobody else changes meanwhile.

    With ``flags`` the tree may have immutable or append-only files. With ``layer`` it is a layer of an overlay,
    not mounted, in which what is gone is a whiteout; members have no attributes of overlays then. ``check`` is
    called now and then, and may raise. Raises StoreError (``remote.damaged``) for members that cannot be, OSError
    for what is refused.
    """
    fd = os.open(tree, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        unpacking = (_LayerUnpacking if layer else _Unpacking)(f"/proc/self/fd/{fd}", flags)
        for member in reader:
            check()
            unpacking.apply(member, reader, check)
        unpacking.finish()
    finally:
        os.close(fd)


class _Unpacking:
    """Each thing's directory comes before it and is a real one, so no link on the way leads anywhere."""

    _kept: frozenset[str] = frozenset()

    def __init__(self, root: str, flags: bool) -> None:
        self._root = root
        self._flags = flags
        self._directories: dict[str, Member] = {}
        self._files: dict[str, Member] = {}
        self._flagged: list[Member] = []

    def apply(self, member: Member, reader: Reader, check: Callable[[], None]) -> None:
        path = f"{self._root}/{member.path}"
        if member.kind == "opaque":
            self._empty(member.path, path)
            return
        parent = member.path.rpartition("/")[0]
        if member.path in self._directories or member.path in self._files:
            raise damaged(f"it has {member.path!r} twice")
        if member.path and parent not in self._directories:
            raise damaged(f"{member.path!r} comes before its directory")
        if member.kind == "directory":
            self._make_directory(member, path)
            return
        if not member.path:
            raise damaged("its root is no directory")
        if member.kind == "gone":
            self._take_away(path)
            return
        if os.path.lexists(path):
            remove_tree(path)
        self._files[member.path] = member
        if member.kind == "same":
            if member.target not in self._files:
                raise damaged(f"{member.path!r} is linked to what has not come")
            os.link(f"{self._root}/{member.target}", path, follow_symlinks=False)
        elif member.kind == "file":
            self._make_file(member, path, reader, check)
        else:
            self._make_other(member, path)
        if member.flags:
            self._flagged.append(member)

    def _make_directory(self, member: Member, path: str) -> None:
        try:
            mode = os.lstat(path).st_mode if member.path else stat.S_IFDIR
        except FileNotFoundError:
            mode = 0
        if mode and not stat.S_ISDIR(mode):
            self._replace_by_directory(path)
        elif not mode:
            os.mkdir(path, 0o700)
        elif self._flags:
            inodeflags.clear(path + "/.")
        self._directories[member.path] = member

    def _take_away(self, path: str) -> None:
        remove_tree(path)

    def _replace_by_directory(self, path: str) -> None:
        remove_tree(path)
        os.mkdir(path, 0o700)

    def _empty(self, name: str, path: str) -> None:
        if name not in self._directories:
            raise damaged(f"{name!r} comes before its directory")
        for entry in os.listdir(path):
            here = f"{name}/{entry}" if name else entry
            if here not in self._directories and here not in self._files:
                remove_tree(f"{path}/{entry}")

    def _make_file(self, member: Member, path: str, reader: Reader, check: Callable[[], None]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
        try:
            if member.segments is None:
                while data := reader.data():
                    _write(fd, data)
                    check()
            else:
                _write_segments(fd, member, reader, check)
            os.fchown(fd, member.uid, member.gid)
            os.fchmod(fd, member.mode)
            _set_attributes(fd, member.xattrs)
            os.utime(fd, ns=(member.mtime, member.mtime))
        finally:
            os.close(fd)

    def _make_other(self, member: Member, path: str) -> None:
        if member.kind == "symlink":
            os.symlink(member.target, path)
        else:
            kinds = {
                "fifo": stat.S_IFIFO,
                "socket": stat.S_IFSOCK,
                "block": stat.S_IFBLK,
                "character": stat.S_IFCHR,
            }
            os.mknod(path, kinds[member.kind] | 0o600, member.device)
        os.chown(path, member.uid, member.gid, follow_symlinks=False)
        if member.kind != "symlink":
            os.chmod(path, member.mode)
        _set_attributes(path, member.xattrs)
        os.utime(path, ns=(member.mtime, member.mtime), follow_symlinks=False)

    def finish(self) -> None:
        """Give the directories what they are to have, from below; then nothing in them changes any more."""
        if "" not in self._directories:
            raise damaged("it has no root")
        for member in self._flagged:
            inodeflags.write(f"{self._root}/{member.path}", member.flags)
        # A directory comes before what is in it; so backwards it comes after.
        for name, member in reversed(self._directories.items()):
            self._finish_directory(f"{self._root}/{name}/.", member)

    def _finish_directory(self, path: str, member: Member) -> None:
        os.chown(path, member.uid, member.gid)
        os.chmod(path, member.mode)
        _set_attributes(path, member.xattrs, self._kept)
        os.utime(path, ns=(member.mtime, member.mtime))
        if member.flags:
            inodeflags.write(path, member.flags)


class _LayerUnpacking(_Unpacking):
    """Writes what overlayfs would have written, with whole files only."""

    _kept = frozenset({_OPAQUE})

    def _take_away(self, path: str) -> None:
        remove_tree(path)
        os.mknod(path, stat.S_IFCHR, 0)

    def _replace_by_directory(self, path: str) -> None:
        # What is replaced hides what lies below, and so has the directory.
        super()._replace_by_directory(path)
        os.setxattr(path, _OPAQUE, b"y")

    def _empty(self, name: str, path: str) -> None:
        super()._empty(name, path)
        os.setxattr(path, _OPAQUE, b"y")


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _write_segments(fd: int, member: Member, reader: Reader, check: Callable[[], None]) -> None:
    assert member.segments is not None
    os.ftruncate(fd, member.size)
    rest = b""
    for offset, length in member.segments:
        os.lseek(fd, offset, os.SEEK_SET)
        left = length
        while left:
            rest = rest or reader.data()
            if not rest:
                raise damaged("it ends too early")
            _write(fd, rest[:left])
            rest, left = rest[left:], max(0, left - len(rest))
            check()


def _names(target: int | str) -> Iterable[str]:
    return os.listxattr(target) if isinstance(target, int) else os.listxattr(target, follow_symlinks=False)


def _set_attributes(
    target: int | str, wanted: Mapping[str, bytes], kept: frozenset[str] = frozenset()
) -> None:
    """Give a file exactly these attributes: it may have got others from its directory, or had some before."""
    follow = {} if isinstance(target, int) else {"follow_symlinks": False}
    for name in _names(target):
        if name not in wanted and name not in kept:
            try:
                os.removexattr(target, name, **follow)
            except OSError as error:
                # Where the kernel labels files, one that has no label gets one.
                if name != _LABEL or error.errno not in (errno.EACCES, errno.EPERM):
                    raise
    for name, value in wanted.items():
        os.setxattr(target, name, value, **follow)
