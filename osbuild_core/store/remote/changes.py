"""What a stage changed: the paths of its tree that are not as they were in the tree that it started from."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from osbuild_core.store import inodeflags
from osbuild_core.store.difference import compare, moved

_File = tuple[int, int]


@dataclass
class Changes:
    """Paths relative to the root of the tree, which is ``""``.

    ``there`` is what is new or changed, with all directories that lead to it; ``gone`` what the parent has and
    the tree has not; of an ``opaque`` directory nothing of the parent's is left. All names of a hard-linked file
    are there, or none.
    """

    there: set[str] = field(default_factory=lambda: {""})
    gone: set[str] = field(default_factory=set)
    opaque: set[str] = field(default_factory=set)

    def ordered(self) -> Iterator[tuple[str, bool]]:
        """Yield (path, whether it is there), a directory before what is in it."""
        every = [(path, True) for path in self.there] + [(path, False) for path in self.gone]
        yield from sorted(every, key=lambda one: one[0].split("/"))

    def complete(self) -> Changes:
        """Add the directories that lead to what changed, so that their times are right again afterwards."""
        for path in [*self.there, *self.gone]:
            while path:
                path = path.rpartition("/")[0]  # noqa: PLW2901
                if path in self.there:
                    break
                self.there.add(path)
        return self


def everything(tree: str) -> Changes:
    """Return the whole ``tree``, for one that stands on nothing."""
    return Changes(there={"", *_below(tree, "")})


def of_layer(layer: str, tree: str) -> Changes:
    """Return what the overlay ``layer`` changes; ``tree`` is where it is mounted on all that it lies on."""
    changes = Changes()
    pending = [""]
    while pending:
        here = pending.pop()
        with os.scandir(f"{layer}/{here}") as entries:
            for entry in entries:
                path = f"{here}/{entry.name}" if here else entry.name
                if entry.is_dir(follow_symlinks=False):
                    changes.there.add(path)
                    if moved(entry.path):
                        # What is in it comes from elsewhere, so all of it is told anew.
                        changes.opaque.add(path)
                        changes.there.update(_below(tree, path))
                    else:
                        pending.append(path)
                elif _is_whiteout(entry):
                    changes.gone.add(path)
                else:
                    changes.there.add(path)
    _close_groups(tree, changes)
    return changes.complete()


def between(old: str, new: str, *, flags: bool) -> Changes:
    """Return what has to change in the tree ``old`` to make it ``new``; both are read through.

    ``flags``: one of them may have immutable or append-only files.
    """
    changes = Changes()
    for difference in compare(Path(old), Path(new), mtime=True):
        path = difference.path.lstrip("/")
        (changes.gone if difference.kind == "removed" else changes.there).add(path)
    if flags:
        changes.there.update(_other_flags(old, new))
    _add_regrouped(old, new, changes)
    # Of what is gone as a whole the top says it all; what is in the place of a directory says it as well.
    changes.gone = {path for path in changes.gone if _stands(new, path.rpartition("/")[0])}
    return changes.complete()


def _stands(tree: str, path: str) -> bool:
    """Tell whether ``path`` is a directory of ``tree`` itself, and not where a link leads to."""
    parts = path.split("/") if path else []
    return all(
        os.path.isdir(there) and not os.path.islink(there)
        for there in (f"{tree}/{'/'.join(parts[: n + 1])}" for n in range(len(parts)))
    )


def _is_whiteout(entry: os.DirEntry[str]) -> bool:
    status = entry.stat(follow_symlinks=False)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _below(tree: str, top: str) -> Iterator[str]:
    """Yield the paths of all that is below ``top``."""
    pending = [top]
    while pending:
        here = pending.pop()
        with os.scandir(f"{tree}/{here}") as entries:
            for entry in entries:
                path = f"{here}/{entry.name}" if here else entry.name
                yield path
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)


def _files(tree: str, paths: Iterable[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Yield (path, status) of those of ``paths`` that are there and no directories."""
    for path in paths:
        try:
            status = os.lstat(f"{tree}/{path}")
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not stat.S_ISDIR(status.st_mode):
            yield path, status


def _file(status: os.stat_result) -> _File:
    return status.st_dev, status.st_ino


def _close_groups(tree: str, changes: Changes) -> None:
    """Add the names of hard-linked files of which some are there: a moved directory may have had others."""
    left: dict[_File, int] = {}
    for _, status in _files(tree, changes.there):
        if status.st_nlink > 1:
            left[_file(status)] = left.get(_file(status), status.st_nlink) - 1
    wanted = {file for file, count in left.items() if count > 0}
    if wanted:
        changes.there.update(
            path for path, status in _files(tree, _below(tree, "")) if _file(status) in wanted
        )


def _add_regrouped(old: str, new: str, changes: Changes) -> None:
    """Add the names of hard-linked files that share their file with other names than before.

    Those that only lost a name as well: it is their link count that changed.
    """
    before: dict[str, _File] = {}
    groups_before: dict[_File, set[str]] = {}
    for path, status in _files(old, _below(old, "")):
        if status.st_nlink > 1:
            before[path] = _file(status)
            groups_before.setdefault(_file(status), set()).add(path)
    groups: dict[_File, set[str]] = {}
    for path, status in _files(new, _below(new, "")):
        if status.st_nlink > 1 or path in before:
            groups.setdefault(_file(status), set()).add(path)
    for paths in groups.values():
        origin = before.get(next(iter(paths)))
        if origin is None or groups_before[origin] != paths or not changes.there.isdisjoint(paths):
            changes.there.update(paths)


def _other_flags(old: str, new: str) -> Iterator[str]:
    for path in ("", *_below(new, "")):
        mode = os.lstat(f"{new}/{path}").st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            value = inodeflags.read(f"{new}/{path}")
            try:
                before = os.lstat(f"{old}/{path}").st_mode
            except (FileNotFoundError, NotADirectoryError):
                continue
            same = stat.S_IFMT(before) == stat.S_IFMT(mode)
            if not same or inodeflags.read(f"{old}/{path}") != value:
                yield path
