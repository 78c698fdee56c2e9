"""``osbuild-core build --on slurm --array MANIFEST...``: many manifests at once, each in a session of its own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from osbuild_core.cli.documents import read_manifest
from osbuild_core.cli.event_file import EventFile
from osbuild_core.cli.lines import Lines
from osbuild_core.cli.report import error_document, error_lines, failure_lines
from osbuild_core.cli.start import cancelling
from osbuild_core.engine.session import Session
from osbuild_core.engine.settings import Settings
from osbuild_core.model.errors import OsbuildError
from osbuild_core.model.events import Event, Sink
from osbuild_core.model.results import RunResult

if TYPE_CHECKING:
    from osbuild_core.exports.jobs.cluster.executor import Cluster

SESSIONS = 32
"""Manifests at once: each has a few processes of its own on this machine."""


class Wanted(NamedTuple):
    """What is done with every manifest; exports go to a directory below ``output``, named after the manifest."""

    exports: tuple[str, ...]
    pipelines: tuple[str, ...]
    checkpoint: tuple[str, ...]
    output: Path | None


class Shown(NamedTuple):
    """What is shown of the builds meanwhile; ``file`` gets all events."""

    verbose: bool
    quiet: bool
    file: EventFile | None


class Build:
    """One of the builds: ``label`` tells it from the others, ``ended`` is what came of it."""

    def __init__(self, path: str, label: str) -> None:
        self.path = path
        self.label = label
        self.document = read_manifest(path)
        self.ended: RunResult | OsbuildError | None = None
        self.broken: BaseException | None = None

    @property
    def success(self) -> bool:
        return isinstance(self.ended, RunResult) and self.ended.success


def build_array(
    cluster: Cluster,
    settings: Settings,
    paths: Sequence[str],
    wanted: Wanted,
    shown: Shown,
) -> list[Build]:
    """Build the manifests at ``paths`` on ``cluster``; returns what came of each, in their order.

    Raises UsageError and ManifestError for files that are no JSON, before anything is built, and KeyboardInterrupt
    or Terminated, after everything has ended, where a signal has arrived.
    """
    builds = [Build(path, label) for path, label in zip(paths, labels(paths), strict=True)]
    array = _Array(cluster, settings, wanted, builds, shown)
    with cancelling(array.interrupt), cluster:
        array.run()
    for build in builds:
        if build.broken is not None:
            raise build.broken
    return builds


def labels(paths: Sequence[str]) -> list[str]:
    """Return a name for each path: that of the file, with a number where there are several."""
    found: list[str] = []
    for path in paths:
        name = Path(path).stem if path != "-" else "manifest"
        label, number = name, 1
        while label in found:
            number += 1
            label = f"{name}-{number}"
        found.append(label)
    return found


class _Array:
    def __init__(
        self, cluster: Cluster, settings: Settings, wanted: Wanted, builds: list[Build], shown: Shown
    ) -> None:
        self.cluster = cluster
        self.settings = settings
        self.wanted = wanted
        self.builds = builds
        self.shown = shown
        self.interrupted = False
        self._sessions: list[Session] = []
        self._room = threading.Semaphore(SESSIONS)

    def interrupt(self) -> None:
        """Have all builds end. For signal handlers too."""
        self.interrupted = True
        for session in list(self._sessions):
            session.interrupt()

    def run(self) -> None:
        """Build all, and wait until they have ended."""
        threads = [
            threading.Thread(target=self._thread, args=(build,), name=build.label) for build in self.builds
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _thread(self, build: Build) -> None:
        with self._room:
            try:
                build.ended = self._build(build)
            except OsbuildError as error:
                build.ended = error
            except BaseException as error:
                build.broken = error
                self.interrupt()

    def _sink(self, build: Build) -> Sink:
        lines = None if self.shown.quiet else Lines(verbose=self.shown.verbose, prefix=f"{build.label}: ")
        file = self.shown.file.labelled(build.path) if self.shown.file is not None else None

        def sink(event: Event) -> None:
            if file is not None:
                file(event)
            if lines is not None:
                lines(event)

        return sink

    def _build(self, build: Build) -> RunResult:
        wanted = self.wanted
        with Session(self.settings, self._sink(build), self.cluster.executor(build.document)) as session:
            self._sessions.append(session)
            if self.interrupted:
                session.interrupt()
            return session.build(
                session.load(build.document),
                exports=wanted.exports,
                pipelines=wanted.pipelines or None,
                checkpoint=wanted.checkpoint,
                output_directory=wanted.output / build.label if wanted.output else None,
            )


def array_document(builds: Sequence[Build], result_document: Any) -> dict[str, Any]:
    """Return the results for ``--json``."""
    documents = []
    for build in builds:
        ended = build.ended
        made = error_document(ended) if isinstance(ended, OsbuildError) else result_document(ended)
        documents.append({"manifest": build.path, **made})
    return {"success": all(build.success for build in builds), "builds": documents}


def print_failures(builds: Sequence[Build]) -> None:
    """Print why builds failed on standard error."""
    for build in builds:
        if isinstance(build.ended, OsbuildError):
            for line in error_lines(build.ended):
                print(f"error: {build.path}: {line}", file=sys.stderr)
        elif build.ended is not None:
            for line in failure_lines(build.ended):
                print(f"{build.label}: {line}", file=sys.stderr)
