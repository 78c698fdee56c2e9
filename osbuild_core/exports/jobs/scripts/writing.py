"""Puts rendered files where they are wanted: all or none, nothing outside, nothing overwritten unasked."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from osbuild_core.exports.jobs.scripts.rendering import RenderedFile
from osbuild_core.model.errors import OsbuildError, UsageError


def write(
    files: Iterable[RenderedFile],
    directory: Path,
    *,
    force: bool = False,
    owner: tuple[int, int] | None = None,
) -> list[Path]:
    """Write ``files`` below ``directory``, which is made if need be; return their paths, the entrypoint's first.

    A file that is there with other content is left alone, unless ``force``. ``owner`` (user, group) gets what is
    made. Raises UsageError ``usage.output``, OsbuildError.
    """
    files = list(files)
    try:
        top = directory.resolve()
        for file in files:
            _check(top, file, force)
        made = _make(directory)
        for file in files:
            made += _make(top / file.path.parent)
        for file in files:
            put(top / file.path, file.content, file.mode, owner)
        for path in made if owner else ():
            assert owner is not None
            os.chown(path, *owner)
    except OSError as error:
        raise OsbuildError(
            f"cannot write {error.filename or directory}: {error.strerror}", code="system"
        ) from error
    return [directory / file.path for file in files]


def _check(top: Path, file: RenderedFile, force: bool) -> None:
    path = top / file.path
    if not path.parent.resolve().is_relative_to(top):
        raise UsageError(
            f"{path} would not be below {top}",
            code="usage.output",
            hint="a link leads out of the output directory",
        )
    if path.is_dir():
        raise UsageError(
            f"{path} is a directory", code="usage.output", hint="name another one in output-names"
        )
    if not force and os.path.lexists(path):
        with contextlib.suppress(OSError):
            if path.read_bytes() == file.content:
                return
        raise UsageError(f"{path} is there already", code="usage.output", hint="--force overwrites it")


def _make(folder: Path) -> list[Path]:
    """Make ``folder`` and what is above it; return what was not there."""
    made = []
    for path in (*reversed(folder.parents), folder):
        if not path.is_dir():
            path.mkdir(exist_ok=True)
            made.append(path)
    return made


def put(path: Path, content: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Put one file in its place in one step; a link of its name is replaced, not followed. Raises OSError."""
    fd, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(fd, "wb") as output:
            output.write(content)
            os.fchmod(fd, mode)
            if owner is not None:
                os.fchown(fd, *owner)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
