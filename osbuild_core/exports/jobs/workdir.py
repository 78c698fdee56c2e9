"""The working directory of a session, and the files that are written into it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from osbuild_core.exports.jobs.job import EmbeddedFile
from osbuild_core.exports.jobs.users import Identity
from osbuild_core.model.errors import OsbuildError

ROOT = "OpenJD"
"""Directory below the one for temporary files in which sessions have theirs."""


class WorkingDirectoryError(OsbuildError, RuntimeError):
    """The working directory of a session, or a file in it, cannot be made."""

    code = "job.directory"


class WorkingDirectory:
    """A directory of mode 0700 that belongs to ``owner`` (None: to us), in ``parent`` (None: a temporary place).

    With ``shared_group`` (a gid) it is of mode 0770 and of that group: its user is somebody whom we cannot become.
    Raises WorkingDirectoryError.
    """

    def __init__(
        self, parent: Path | None, owner: Identity | None = None, shared_group: int | None = None
    ) -> None:
        self._owner = owner
        self._group = shared_group
        self.path = self._make(parent)
        self.files = self.path / "embedded_files"
        self._numbers = 0
        self.make_directory(self.files)

    def _make(self, parent: Path | None) -> Path:
        if parent is not None and not parent.is_dir():
            raise WorkingDirectoryError(
                f"the directory for sessions is not there: {parent}", hint="make it, or name another one"
            )
        try:
            for _ in range(100):
                where = parent or _temporary_place()
                # Another session may remove the place, being the last one in it.
                with contextlib.suppress(FileNotFoundError):
                    path = Path(tempfile.mkdtemp(prefix="", dir=where))
                    self._give(path, 0o700)
                    return path
        except OSError as error:
            raise self._error(error, parent or Path(tempfile.gettempdir())) from error
        raise WorkingDirectoryError(f"{where} goes away time and again")

    def _give(self, path: Path | int, mode: int) -> None:
        """Let the session's user have ``path``."""
        if self._owner is not None:
            os.chown(path, self._owner.uid, self._owner.gid)
        if self._group is not None:
            os.chown(path, -1, self._group)
            # What the user may do, the group may.
            mode |= (mode & 0o700) >> 3
        os.chmod(path, mode)

    def make_directory(self, path: Path) -> None:
        """Make a directory for the session's user. Raises WorkingDirectoryError."""
        try:
            path.mkdir(mode=0o700)
            self._give(path, 0o700)
        except OSError as error:
            raise self._error(error, path) from error

    def write(self, path: Path, data: str | bytes, *, runnable: bool = False) -> None:
        """Write a new file for the session's user, or over one. Raises WorkingDirectoryError."""
        mode = 0o700 if runnable else 0o600
        content = data.encode(errors="surrogateescape") if isinstance(data, str) else data
        try:
            # Whatever is there is taken away, not followed.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
            with open(fd, "wb") as file:
                self._give(fd, mode)
                file.write(content)
        except OSError as error:
            raise self._error(error, path) from error

    def allocate(self, files: Iterable[EmbeddedFile], prefix: str) -> dict[str, str]:
        """Make a directory for ``files``; return where each will be, by its symbol. Raises WorkingDirectoryError."""
        files = tuple(files)
        if not files:
            return {}
        self._numbers += 1
        directory = self.files / str(self._numbers)
        self.make_directory(directory)
        return {f"{prefix}.{file.name}": str(directory / (file.filename or file.name)) for file in files}

    def write_files(
        self,
        files: Iterable[EmbeddedFile],
        prefix: str,
        places: Mapping[str, str],
        symbols: Mapping[str, str],
    ) -> None:
        """Write ``files`` to their ``places``. Raises WorkingDirectoryError, FormatStringError."""
        for file in files:
            text = file.data.resolve(symbols)
            if file.endOfLine in ("LF", "CRLF"):
                text = text.replace("\r\n", "\n")
            if file.endOfLine == "CRLF":
                text = text.replace("\n", "\r\n")
            self.write(Path(places[f"{prefix}.{file.name}"]), text, runnable=file.runnable)

    def forget(self, places: Mapping[str, str]) -> None:
        """Remove the files that are at ``places``, with their directory."""
        for directory in {os.path.dirname(place) for place in places.values()}:
            shutil.rmtree(directory, ignore_errors=True)

    def remove(self) -> None:
        """Remove the directory. Raises WorkingDirectoryError with what stays."""
        try:
            shutil.rmtree(self.path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise self._error(error, self.path) from error
        with contextlib.suppress(OSError):
            if self.path.parent.name.startswith(ROOT):
                self.path.parent.rmdir()

    @staticmethod
    def _error(error: OSError, path: Path) -> WorkingDirectoryError:
        hint = None
        if error.errno in (28, 122):
            hint = "make room there, or have sessions elsewhere (TMPDIR)"
        elif error.errno in (1, 13, 30):
            hint = "may we write there? TMPDIR names another place"
        reason = (error.strerror or str(error)).lower()
        where = error.filename if isinstance(error.filename, str) else path
        return WorkingDirectoryError(f"{where}: {reason}", hint=hint)


def _temporary_place() -> Path:
    """Return the directory in which sessions have theirs; nobody else may exchange what is in it."""
    base = Path(tempfile.gettempdir())
    for path in (base / ROOT, base / f"{ROOT}-{os.geteuid()}"):
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o755)
        found = path.lstat()
        if (
            path.is_dir()
            and not path.is_symlink()
            and found.st_uid == os.geteuid()
            and not found.st_mode & 0o022
        ):
            return path
    return base
