"""The directory of a compose: its own while it is made, whole when it appears, gone without a rest."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from osbuild_core.exports.compose.errors import ComposeError

COMPOSE = "compose"
TREE = "compose/Temporary"
"""Where the repositories are in a compose: ``Temporary`` is the variant of all composes on request."""

COMPOSE_ID = "COMPOSE_ID"
_WORK = ".work-"
_LOCK = ".lock"
_LATEST = "latest-"
_OURS = ("odcs-", _LATEST, ".")
_NO_NAME = re.compile(r"[^A-Za-z0-9._+-]+")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a compose goes: ``target_dir/odcs-<id>``. ``url`` is that of ``target_dir`` (None: a ``file:`` URL)."""

    target_dir: Path
    id: int
    url: str | None = None

    @property
    def name(self) -> str:
        return f"odcs-{self.id}"

    @property
    def directory(self) -> Path:
        return self.target_dir / self.name

    def url_of(self, path: str) -> str:
        """Return the URL of a path relative to the target directory."""
        base = self.url or self.target_dir.absolute().as_uri()
        return f"{base.rstrip('/')}/{path}"


@contextlib.contextmanager
def claimed(place: Place) -> Iterator[Path]:
    """Be the only one who makes the compose, and yield a directory beside its files to work in.

    What an earlier one left behind is removed, logs apart. Raises ComposeError ``compose.place``.
    """
    try:
        place.directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(place.directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _failed(f"cannot make {place.directory}: {error.strerror}") from error
    try:
        if not _locked(handle, place.directory / _LOCK):
            raise ComposeError(
                f"another process is making {place.name}", code="compose.place", retryable=True
            )
        # First, as where it is, everything is.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(place.directory / COMPOSE_ID)
        for entry in [*place.directory.glob(f"{_WORK}*"), place.directory / COMPOSE]:
            shutil.rmtree(entry, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=_WORK, dir=place.directory))
        try:
            yield work
        except OSError as error:
            raise _failed(f"cannot write {error.filename or place.directory}: {error.strerror}") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
            # While it is held, so that it is ours.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(place.directory / _LOCK)
    finally:
        os.close(handle)


def _locked(handle: int, path: Path) -> bool:
    """Tell whether we hold the lock file at ``path``: not one that its holder has removed in the meantime."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except (BlockingIOError, FileNotFoundError):
        return False


def publish(place: Place, work: Path, compose_id: str) -> None:
    """Put ``work/compose`` into its place. The file COMPOSE_ID comes last: where it is, everything is."""
    for path, names, _ in os.walk(work / COMPOSE):
        os.chmod(path, 0o755)
        names.sort()
    os.rename(work / COMPOSE, place.directory / COMPOSE)
    text = work / COMPOSE_ID
    text.write_text(compose_id + "\n")
    os.rename(text, place.directory / COMPOSE_ID)


def link_by_type(place: Place, compose_type: str, compose_id: str, latest: str) -> None:
    """Make the compose known as ``<type>/<compose_id>``, and as the latest of its kind (ODCS 0.9.2, raw_config)."""
    folder = place.target_dir / compose_type
    if compose_type.startswith(_OURS):
        # That may be the directory of another compose.
        return
    folder.mkdir(exist_ok=True)
    for name in (compose_id, f"{_LATEST}{_NO_NAME.sub('-', latest)}"):
        made = folder / f"{_WORK}{place.id}"
        made.unlink(missing_ok=True)
        made.symlink_to(f"../{place.name}")
        os.rename(made, folder / name)


def _links(place: Place) -> Iterator[os.DirEntry[str]]:
    """Yield the links that lead to the compose, in the target directory and those of types of composes."""
    old = re.compile(rf"{_LATEST}{re.escape(place.name)}(-.*)?")
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(place.target_dir):
            if entry.is_symlink():
                if old.fullmatch(entry.name) or os.readlink(entry.path) == place.name:
                    yield entry
            elif entry.is_dir() and not entry.name.startswith(_OURS):
                for link in os.scandir(entry.path):
                    if link.is_symlink() and os.readlink(link.path) == f"../{place.name}":
                        yield link


def is_latest(place: Place) -> bool:
    """Tell whether the compose is the latest of its kind: others may be on their way to it by that name."""
    return any(
        link.name.startswith(_LATEST) and os.readlink(link.path).startswith("../") for link in _links(place)
    )


def is_complete(place: Place) -> bool:
    """Tell whether the compose is there."""
    return (place.directory / COMPOSE_ID).is_file()


def remove(place: Place) -> None:
    """Remove the files of a compose and the links that lead to it; what is not there is no error.

    Raises ComposeError ``compose.place`` where they cannot be removed.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(place.directory / COMPOSE_ID)
    for link in list(_links(place)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(link.path)
    try:
        shutil.rmtree(place.directory)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _failed(f"cannot remove {place.directory}: {error.strerror}") from error


def _failed(message: str) -> ComposeError:
    return ComposeError(message, code="compose.place", hint="is there space left, and may we write there?")
