"""``osbuild``: osbuild's own command line, for tools that call it.

Without ``--export`` nothing is built and all sources are downloaded, which is how callers prefetch. With
``--json`` there is always one JSON document on standard output, whatever happens; what is for people is on
standard error.
"""

from __future__ import annotations

import os
import sys

# Not from typing: a Ctrl-C while that is imported would end in a traceback.
TYPE_CHECKING = False

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import Any

    from osbuild_core.cli.monitors.stream import Stream
    from osbuild_core.engine.session import Session
    from osbuild_core.model.errors import OsbuildError
    from osbuild_core.model.events import Sink
    from osbuild_core.model.manifest import Manifest
    from osbuild_core.model.results import RunResult


class Reply:
    """The JSON document on standard output. The first one counts; there is none where nobody wants one."""

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted

    def give(self, document: Callable[[], dict[str, Any]]) -> None:
        """Print what ``document`` returns, unless there was one before. A signal waits until that is done."""
        from osbuild_core.cli.start import cancelling

        if not self.wanted:
            return
        with cancelling(lambda: None):
            import json

            text = json.dumps(document(), indent=2)
            self.wanted = False
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    def give_error(self, error: BaseException) -> None:
        """Print what kept the run from its end."""
        self.give(lambda: _error_document(error))


def _error_document(error: BaseException) -> dict[str, Any]:
    from osbuild_core.cli.report import as_error
    from osbuild_core.formats import validation_report
    from osbuild_core.formats.report import refusal
    from osbuild_core.model.errors import Cancelled, ManifestError, OsbuildError

    if isinstance(error, ManifestError):
        return validation_report(error)
    if not isinstance(error, Exception):
        # What a signal raises.
        return refusal(Cancelled("the run was cancelled"))
    known = as_error(error)
    return refusal(known or OsbuildError(f"{type(error).__name__}: {error}", code="internal"))


def entry(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, or 1 for a build that failed.

    Raises what keeps it from building, for which :mod:`osbuild_core.cli.start` has the statuses.
    """
    argv = sys.argv[1:] if argv is None else argv
    # Even where the arguments are wrong otherwise, or a signal arrives before they are read.
    reply = Reply(any(len(word) > 2 and "--json".startswith(word) for word in argv))
    try:
        from osbuild_core.cli.osbuild_arguments import parse

        arguments = parse(argv, lambda message: reply.give_error(_usage(message)))
        if arguments.inspect:
            return _inspect(arguments, reply)
        return _run(arguments, reply)
    except (Exception, KeyboardInterrupt) as error:
        if not isinstance(error, BrokenPipeError):
            reply.give_error(error)
        raise
    except BaseException as error:
        from osbuild_core.cli.start import Terminated

        if isinstance(error, Terminated):
            reply.give_error(error)
        raise


def _usage(message: str, code: str = "usage.arguments", hint: str | None = None) -> OsbuildError:
    from osbuild_core.model.errors import UsageError

    return UsageError(message, code=code, hint=hint)


def _inspect(arguments: argparse.Namespace, reply: Reply) -> int:
    """Print the manifest: all that osbuild prints, and what it leaves out. Who reads ids does not mind."""
    from osbuild_core.catalog.library import Library, default_library
    from osbuild_core.cli.documents import read_manifest
    from osbuild_core.formats import describe, load

    reply.wanted = True
    library = Library(arguments.libdir or default_library())
    manifest = load(read_manifest(arguments.manifest), library, strict=True)
    _check_names(arguments, manifest)
    reply.give(lambda: describe(manifest, complete=True))
    return 0


def _check_names(arguments: argparse.Namespace, manifest: Manifest) -> None:
    """Raise UsageError for an export or a checkpoint that the manifest does not have."""
    if arguments.export or arguments.checkpoint:
        from osbuild_core.engine.plan import checkpoints, export_targets

        export_targets(manifest, arguments.export)
        checkpoints(manifest, arguments.checkpoint)


def _run(arguments: argparse.Namespace, reply: Reply) -> int:
    from osbuild_core.cli.documents import read_manifest
    from osbuild_core.cli.osbuild_result import WholeOutputs
    from osbuild_core.cli.start import cancelling
    from osbuild_core.engine.session import Session

    stream, monitor = _monitor(arguments)
    _check_possible(arguments)
    document = read_manifest(arguments.manifest)
    outputs = WholeOutputs(monitor) if arguments.json else None
    session = Session(_settings(arguments), outputs or monitor)

    def interrupt() -> None:
        if stream is not None:
            stream.hurry()
        session.interrupt()

    # Outermost, so that neither the end of the session nor the document is interrupted.
    with cancelling(interrupt), session:
        manifest = session.load(document)
        result = _build(session, manifest, arguments)
        whole = outputs.completed(result) if outputs is not None else result
        reply.give(lambda: _document(session, manifest, whole, built=bool(arguments.export)))
    _print_failures(result, logged=monitor is not None and arguments.monitor in (None, "LogMonitor"))
    return 0 if result.success else 1


def _build(session: Session, manifest: Manifest, arguments: argparse.Namespace) -> RunResult:
    _check_names(arguments, manifest)
    pause = session.settings.pause
    if pause is not None and not any(pause.at(stage) for p in manifest for stage in p.stages):
        raise _usage(
            f"no stage matches --break {pause.stage}",
            "usage.unknown-stage",
            "it takes the type or the id of a stage",
        )
    if not arguments.export:
        return session.fetch(manifest)
    return session.build(
        manifest,
        exports=arguments.export,
        checkpoint=arguments.checkpoint,
        output_directory=arguments.output_directory,
    )


def _document(session: Session, manifest: Manifest, result: RunResult, *, built: bool) -> dict[str, Any]:
    from osbuild_core.cli.osbuild_result import with_stored
    from osbuild_core.formats import output

    if built and result.success:
        result = with_stored(session, manifest, result)
    return output(manifest, result)


def _print_failures(result: RunResult, *, logged: bool) -> None:
    """Say what failed; with the end of the stage's log, unless the monitor has shown that."""
    from osbuild_core.cli.osbuild_result import without_output
    from osbuild_core.cli.report import failure_lines

    for line in failure_lines(without_output(result) if logged else result):
        print(line, file=sys.stderr)


def _monitor(arguments: argparse.Namespace) -> tuple[Stream | None, Sink | None]:
    """Return what shows the run, and the stream that it writes to; None where nothing does."""
    name = arguments.monitor or ("NullMonitor" if arguments.json or arguments.quiet else "LogMonitor")
    if name == "NullMonitor":
        return None, None
    from osbuild_core.cli.monitors.stream import Stream

    fd = arguments.monitor_fd
    if fd is None:
        # The document alone is on standard output.
        fd = 2 if arguments.json else 1
    stream = Stream(fd)
    if name == "JSONSeqMonitor":
        from osbuild_core.cli.monitors.jsonseq import JSONSeqMonitor

        return stream, JSONSeqMonitor(stream, arguments.manifest)
    from osbuild_core.cli.monitors.log import LogMonitor

    return stream, LogMonitor(stream, arguments.manifest)


def _check_possible(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be, before anything is read. Raises UsageError.

    The status is that of an unknown export, 1: callers take 2 for a manifest with errors in it.
    """
    if arguments.in_vm:
        raise _usage(
            f"there are no virtual machines to build {', '.join(arguments.in_vm)} in",
            "usage.in-vm",
            "leave --in-vm out: stages run in sandboxes on this machine",
        )
    if arguments.pause and arguments.manifest == "-" and not os.isatty(0):
        raise _usage(
            "--break needs standard input for the shell, and the manifest is there",
            "usage.break",
            "give the manifest as a file",
        )


def _is_on(value: str) -> bool:
    """Tell whether a variable of the environment says yes, as click reads it for the other command."""
    return value.strip().lower() in ("1", "true", "t", "yes", "y", "on")


def _settings(arguments: argparse.Namespace) -> Any:
    from osbuild_core.engine.settings import Pause, Settings

    settings = Settings(
        store=arguments.store,
        library=arguments.libdir,
        cache_max_size=arguments.cache_max_size,
        stage_timeout=arguments.stage_timeout or None,
        strict=True,
        # osbuild has no options for these.
        remote_cache=os.environ.get("OSBUILD_CORE_REMOTE_CACHE") or None,
        remote_cache_read_only=_is_on(os.environ.get("OSBUILD_CORE_REMOTE_CACHE_READ_ONLY", "")),
        fence=os.environ.get("OSBUILD_CORE_FENCE") or None,
    )
    if arguments.pause is None:
        return settings
    # One at a time: there is one terminal.
    pause = Pause(arguments.pause, 2 if arguments.json else 1, os.urandom(16).hex())
    return settings._replace(jobs=1, pause=pause)


def main() -> None:
    """The console script."""
    try:
        from osbuild_core.cli.start import start

        start(entry)
    except KeyboardInterrupt:
        sys.exit(130)
