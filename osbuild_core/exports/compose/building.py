"""The engine's part of a compose: its pipelines are built, its packages are in the store and get linked."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osbuild_core.exports.compose import carried
from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.lock import Tree
from osbuild_core.model.errors import Path as ManifestPath
from osbuild_core.model.errors import place_text

if TYPE_CHECKING:
    from osbuild_core.engine.session import Session
    from osbuild_core.model.events import Event
    from osbuild_core.model.manifest import Manifest
    from osbuild_core.model.results import RunResult

_NOT_LINKABLE = (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP)
_ASK_SECONDS = 0.2


@contextlib.contextmanager
def opened(
    settings: ComposeSettings, say: Callable[[str], None], cancelled: Callable[[], bool]
) -> Iterator[Session]:
    """Yield a session of the engine that ends when ``cancelled()`` turns true; events go to ``say`` as lines."""
    from osbuild_core.engine.session import Session
    from osbuild_core.engine.settings import Settings

    options: dict[str, Any] = {"jobs": settings.jobs} if settings.jobs else {}
    options["user_namespace"] = settings.user_namespace
    engine = Settings(store=settings.store, library=settings.library, **options)
    with Session(engine, lambda event: _show(event, say)) as session, _watched(session, cancelled):
        # It takes a moment to come up, and every compose needs it.
        session.spawner.start()
        yield session


@contextlib.contextmanager
def _watched(session: Session, cancelled: Callable[[], bool]) -> Iterator[None]:
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_ASK_SECONDS):
            if cancelled():
                session.interrupt()
                return

    thread = threading.Thread(target=watch, name="compose-cancel", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _show(event: Event, say: Callable[[str], None]) -> None:
    """Write the events that someone who waits for a compose wants to see."""
    from osbuild_core.model import events

    match event:
        case events.SourceStarted(type=type_, items=items):
            say(f"fetching what is missing of {items} files ({type_})")
        case events.PipelineFinished(result=result):
            say(f"pipeline {result.name}: {'done' if result.success else 'failed'} in {result.seconds:.1f} s")
        case events.StageOutput(text=text):
            say(text.rstrip("\n"))
        case _:
            pass


def fetch(
    session: Session, manifest: Mapping[str, Any], say: Callable[[str], None] = lambda _: None
) -> Manifest:
    """Fetch all of the manifest's sources, and return what is to be built of it.

    Metadata to carry over that are no longer where they were are done without. Raises ComposeError ``compose.build``,
    ``compose.cancelled``.
    """
    loaded = session.load(manifest)
    # A tree that the store has needs no packages, but the compose does.
    fetched = session.fetch(loaded)
    if not fetched.success and not session.interrupted and _lacks_only(fetched, carried.checksums(manifest)):
        say("the repositories have other metadata by now; ours are made of the packages")
        loaded = session.load(carried.without(manifest))
        fetched = session.fetch(loaded)
    check(session, fetched)
    return loaded


def build(session: Session, manifest: Manifest, names: Sequence[str], output: Path) -> None:
    """Put the trees of the pipelines ``names`` into ``output``.

    Raises ComposeError ``compose.build``, ``compose.cancelled``, and what the engine raises for a machine on which
    nothing can be built.
    """
    if names:
        check(session, session.build(manifest, exports=names, output_directory=output))


def _lacks_only(fetched: RunResult, expendable: frozenset[str]) -> bool:
    failed = [item.checksum for source in fetched.sources for item in source.items if not item.success]
    return bool(failed) and expendable.issuperset(failed)


@contextlib.contextmanager
def held(session: Session, trees: Sequence[Tree]) -> Iterator[None]:
    """Keep the packages of ``trees`` in the store: runs of the engine hold theirs only while they last."""
    with session.store.sources.lease({package.checksum for tree in trees for package in tree.packages}):
        yield


def check(session: Session, result: RunResult) -> None:
    """Raise ComposeError for a run that did not succeed."""
    if result.success:
        return
    if session.interrupted:
        raise ComposeError("the compose was cancelled", code="compose.cancelled")
    failures = result.failures()
    if not failures:
        raise ComposeError("the build failed", code="compose.build", hint="see the log")
    what, why = failures[0]
    place: ManifestPath = why.place
    where = f" ({place_text(place)})" if place else ""
    retryable = what.startswith("source ")
    raise ComposeError(
        f"{what}: {why.detail}{where}", code="compose.build", hint=why.hint, retryable=retryable
    )


def link_packages(file_of: Callable[[str], str], trees: Sequence[Tree], root: Path) -> tuple[int, int]:
    """Put the packages of ``trees`` below ``root`` as links to the store's files; return (linked, copied).

    ``file_of`` says where the file of a checksum is.
    """
    counts = [0, 0]
    made: set[str] = set()
    for tree in trees:
        # Not as Path objects, of which there would be five for each package.
        folder = os.fspath(root / tree.path)
        for package in tree.packages:
            if package.path.startswith("/") or ".." in package.path.split("/"):
                raise ComposeError(f"{package.path!r} is no place for a package", code="compose.source")
            target = f"{folder}/{package.path}"
            parent = target.rpartition("/")[0]
            if parent not in made:
                os.makedirs(parent, exist_ok=True)
                made.add(parent)
            counts[_link(file_of(package.checksum), target)] += 1
    return counts[0], counts[1]


def _link(source: str, target: str) -> bool:
    """Link ``source`` to ``target``; tells whether it had to be copied."""
    try:
        os.link(source, target)
    except FileExistsError:
        if os.path.samefile(source, target):
            return False
        raise
    except OSError as error:
        if error.errno not in _NOT_LINKABLE:
            raise
        shutil.copyfile(source, target)
        return True
    return False
