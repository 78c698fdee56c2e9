"""What differs between two trees: paths that came, went or changed, and in what."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from osbuild_core.store.lease import Lease

CHUNK = 1 << 20

_OVERLAY_MOVED = ("trusted.overlay.opaque", "trusted.overlay.redirect")

_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "block device",
    stat.S_IFCHR: "character device",
}

Places = dict[str, Any]
"""Where to look: names in a directory, each with the Places below it, or None: everywhere."""


class Difference(NamedTuple):
    """``what`` names what changed: type, content, target, device, mode, owner, xattrs, mtime.

    ``before`` and ``after`` have the values (of xattrs only which, of content the size in bytes).
    """

    kind: Literal["added", "removed", "changed"]
    path: str
    type: str
    what: tuple[str, ...] = ()
    before: Mapping[str, Any] = {}
    after: Mapping[str, Any] = {}


def differences(before: Lease, after: Lease, *, mtime: bool = False) -> Iterator[Difference]:
    """Yield how the tree of ``after`` differs from that of ``before``, by path.

    Where the two lie on a common object, only what the layers above it touch is looked at. ``mtime`` compares
    times of modification too. The calling thread needs a mount namespace of its own. Raises StoreError, OSError.
    """
    if before.info.serial == after.info.serial:
        return
    places = _places(before.layers(), after.layers())
    with before.mount() as old, after.mount() as new:
        yield from compare(old, new, places, mtime=mtime)


def compare(
    old: Path, new: Path, places: Places | None = None, *, mtime: bool = False
) -> Iterator[Difference]:
    """Yield how the directory ``new`` differs from ``old``, both of which stay as they are meanwhile.

    Both are walked at once, and what is a directory in one only is not followed in the other: so no link of a
    tree leads anywhere.
    """
    comparison = _Comparison(str(old), str(new), mtime)
    pending: list[_Pair] = [("/", os.lstat(old), os.lstat(new), places)]
    while pending:
        pair = pending.pop()
        difference = comparison.difference(*pair[:3])
        if difference is not None:
            yield difference
        pending += comparison.below(*pair)


def _places(before: Sequence[Path], after: Sequence[Path]) -> Places | None:
    """Return what those of the layers touch that the two trees do not share."""
    shared = set(before) & set(after)
    if not shared:
        return None
    places: Places = {}
    for layer in (*before, *after):
        if layer not in shared and not _add_touched(str(layer), places):
            return None
    return places


def _add_touched(layer: str, places: Places) -> bool:
    """Add what ``layer`` has to ``places``; False where all may be different."""
    if moved(layer):
        return False
    pending = [(layer, places)]
    while pending:
        directory, here = pending.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                below = here.setdefault(entry.name, {})
                # A file, or the mark of a deletion, may be in the place of a directory.
                if not entry.is_dir(follow_symlinks=False) or moved(entry.path):
                    here[entry.name] = None
                elif below is not None:
                    pending.append((entry.path, below))
    return True


def moved(directory: str) -> bool:
    """Tell whether a directory of a layer was moved there, or put in the place of another one."""
    return any(name in _OVERLAY_MOVED for name in os.listxattr(directory))


_Pair = tuple[str, os.stat_result | None, os.stat_result | None, Places | None]


class _Comparison:
    def __init__(self, old: str, new: str, mtime: bool) -> None:
        self.old = old
        self.new = new
        self.mtime = mtime

    def difference(
        self, path: str, old: os.stat_result | None, new: os.stat_result | None
    ) -> Difference | None:
        """Return the difference at ``path`` itself, None where there is none."""
        if old is not None and new is not None:
            return self._change(path, old, new)
        return Difference("removed", path, _type(old)) if old else Difference("added", path, _type(new))

    def below(
        self, path: str, old: os.stat_result | None, new: os.stat_result | None, places: Places | None
    ) -> list[_Pair]:
        """Return what is to be compared next, the last first."""
        old_names, new_names = self._names(self.old + path, old), self._names(self.new + path, new)
        names = old_names.keys() | new_names.keys()
        if places is not None:
            names &= places.keys()
        prefix = path.rstrip("/")
        return [
            (f"{prefix}/{name}", old_names.get(name), new_names.get(name), places and places[name])
            for name in sorted(names, reverse=True)
        ]

    @staticmethod
    def _names(path: str, status: os.stat_result | None) -> dict[str, os.stat_result]:
        if status is None or not stat.S_ISDIR(status.st_mode):
            return {}
        with os.scandir(path) as entries:
            return {entry.name: entry.stat(follow_symlinks=False) for entry in entries}

    def _other_content(self, path: str) -> bool:
        return not _same_content(self.old + path, self.new + path)

    def _change(self, path: str, old: os.stat_result, new: os.stat_result) -> Difference | None:
        before, after = self._facts(self.old + path, old), self._facts(self.new + path, new)
        what = [fact for fact in {**before, **after} if before.get(fact) != after.get(fact)]
        if "type" in what:
            # A new thing under an old name: its other facts are no changes.
            what = [fact for fact in what if fact in ("type", "mode", "owner")]
        elif "content" not in what and stat.S_ISREG(old.st_mode) and self._other_content(path):
            what.insert(0, "content")
        if not what:
            return None
        return Difference(
            "changed",
            path,
            _type(new),
            tuple(what),
            {fact: before.get(fact) for fact in what},
            {fact: after.get(fact) for fact in what},
        )

    def _facts(self, path: str, status: os.stat_result) -> dict[str, Any]:
        facts: dict[str, Any] = {"type": _type(status)}
        if stat.S_ISREG(status.st_mode):
            facts["content"] = status.st_size
        elif stat.S_ISLNK(status.st_mode):
            facts["target"] = os.readlink(path)
        elif stat.S_ISBLK(status.st_mode) or stat.S_ISCHR(status.st_mode):
            facts["device"] = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
        facts["mode"] = f"{stat.S_IMODE(status.st_mode):04o}"
        facts["owner"] = f"{status.st_uid}:{status.st_gid}"
        facts["xattrs"] = {
            name: os.getxattr(path, name, follow_symlinks=False)
            for name in os.listxattr(path, follow_symlinks=False)
        }
        if self.mtime:
            facts["mtime"] = status.st_mtime_ns
        return facts


def _type(status: os.stat_result | None) -> str:
    assert status is not None
    return _TYPES.get(stat.S_IFMT(status.st_mode), "unknown")


def _same_content(left: str, right: str) -> bool:
    with open(left, "rb", buffering=0) as one, open(right, "rb", buffering=0) as other:
        while True:
            data = one.read(CHUNK)
            if data != other.read(CHUNK):
                return False
            if not data:
                return True
