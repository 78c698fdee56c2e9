"""A session that shows its progress, and that signals end in good order."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from osbuild_core.cli.start import cancelling
from osbuild_core.engine.session import Session
from osbuild_core.engine.settings import Settings
from osbuild_core.model.events import (
    Event,
    ExportStarted,
    PipelineStarted,
    Pulled,
    Pushed,
    Sink,
    SourceStarted,
    Warned,
)

if TYPE_CHECKING:
    from osbuild_core.cli.debug import Debug
    from osbuild_core.engine.context import Context
    from osbuild_core.model.executor import Executor


@contextlib.contextmanager
def watched_session(
    settings: Settings,
    *,
    verbose: bool = False,
    quiet: bool = False,
    debug: Debug | None = None,
    also: Sink | None = None,
    executor: Callable[[Context], Executor] | None = None,
    around: contextlib.AbstractContextManager[object] | None = None,
) -> Iterator[Session]:
    """Open a session whose run a signal cancels; raises KeyboardInterrupt or Terminated once it is closed.

    ``debug`` gets all events as well, and those about programs; so does ``also``, without those. ``executor``
    makes what carries pipelines out, this machine unless given; ``around`` is entered before the session and left
    after it, and no signal interrupts that.
    """
    with renderer(verbose=verbose, quiet=quiet, plain=debug is not None and debug.terminal) as shown:
        sink = shown if also is None else _both(also, shown)
        if debug is not None:
            settings = settings._replace(trace=True)
            sink = _both(debug, sink)
        session = Session(settings, sink, executor)
        # Outermost, so that closing the session is not interrupted either.
        with cancelling(session.interrupt), around or contextlib.nullcontext(), session:
            yield session


@contextlib.contextmanager
def renderer(*, verbose: bool, quiet: bool, plain: bool = False) -> Iterator[Sink | None]:
    """Give the sink that shows progress as the terminal, or the lack of one, wants it; ``plain`` as lines."""
    if quiet:
        yield None
    elif sys.stderr.isatty() and not verbose and not plain:
        with contextlib.ExitStack() as stack:
            yield _bars_when_needed(stack)
    else:
        from osbuild_core.cli.lines import Lines

        yield Lines(verbose=verbose)


def _both(first: Sink, second: Sink | None) -> Sink:
    def sink(event: Event) -> None:
        first(event)
        if second is not None:
            second(event)

    return sink


_SHOWN = (PipelineStarted, SourceStarted, ExportStarted, Pulled, Pushed, Warned)


def _bars_when_needed(stack: contextlib.ExitStack) -> Sink:
    """Return a sink that sets up the bars with the first thing that runs: a build that finds all in the store
    has nothing to show, and is over sooner than they are imported."""
    bars: list[Sink] = []

    def sink(event: Event) -> None:
        if isinstance(event, _SHOWN) and not bars:
            from osbuild_core.cli.bars import Bars

            bars.append(stack.enter_context(Bars()))
        for each in bars:
            each(event)

    return sink
