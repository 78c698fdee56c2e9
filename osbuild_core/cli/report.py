"""How the command lines tell what went wrong: one line, the place, a hint."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator

from osbuild_core.cli.lines import printable
from osbuild_core.model.errors import ManifestError, OsbuildError, place_text
from osbuild_core.model.results import Failure, RunResult

TAIL_LINES = 30
"""Lines of a failed stage's log that are shown; the path of the whole comes with them."""


def as_error(error: BaseException) -> OsbuildError | None:
    """Return ``error`` in the form that is shown; None for a bug, which is to be seen with its traceback."""
    if isinstance(error, OsbuildError):
        return error
    if isinstance(error, BrokenPipeError) or not isinstance(error, OSError):
        return None
    where = f": {error.filename}" if error.filename else ""
    # getcwd(2) knows no name to blame.
    lost = not where and error.errno == errno.ENOENT
    hint = "is the current directory still there?" if lost else None
    if not where and error.errno in (errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EDQUOT):
        where = ", writing the output"
    return OsbuildError(f"{error.strerror or error}{where}", code="system", hint=hint)


def error_lines(error: OsbuildError) -> Iterator[str]:
    """Yield what a user needs to know of ``error``; every issue of a refused manifest has its line."""
    if isinstance(error, ManifestError):
        for issue in error.issues:
            yield _line(issue.message, issue.path, issue.hint)
    else:
        yield _line(error.detail, error.place, error.hint)


def _line(detail: str, place: tuple[str | int, ...], hint: str | None) -> str:
    where = f"{place_text(place)}: " if place else ""
    return _one_line(f"{where}{detail}" + (f" ({hint})" if hint else ""))


def _one_line(text: str) -> str:
    """Return ``text`` without what modules and manifests may have put into it: line feeds, control characters."""
    return printable(text).replace("\n", " ")


def print_error(error: OsbuildError) -> None:
    """Print ``error`` on standard error."""
    for line in error_lines(error):
        print(f"error: {line}", file=sys.stderr)


def error_document(error: OsbuildError) -> dict[str, object]:
    """Return ``error`` for ``--json``."""
    issues = (
        [{"code": i.code, "message": i.message, "path": list(i.path), "hint": i.hint} for i in error.issues]
        if isinstance(error, ManifestError)
        else [{"code": error.code, "message": error.detail, "path": list(error.place), "hint": error.hint}]
    )
    return {"success": False, "errors": issues}


def failure_document(failure: Failure) -> dict[str, object]:
    """Return ``failure`` for ``--json``."""
    return {
        "code": failure.code,
        "message": failure.detail,
        "path": list(failure.place),
        "hint": failure.hint,
        "data": dict(failure.data) if failure.data else None,
    }


def failure_lines(result: RunResult) -> Iterator[str]:
    """Yield why a run failed: the end of the log of each failed stage, then a line for each failure."""
    for pipeline in result.pipelines:
        for stage in pipeline.stages:
            if stage.error and stage.error.code != "cancelled" and stage.output.strip():
                lines = printable(stage.output).rstrip().split("\n")
                yield f"--- {pipeline.name}: {stage.type} (log: {stage.log})"
                if len(lines) > TAIL_LINES:
                    yield f"[{len(lines) - TAIL_LINES} lines before]"
                yield from lines[-TAIL_LINES:]
                yield "---"
    for what, failure in result.failures():
        if failure.code != "cancelled":
            yield f"error: {_one_line(what)}: {_line(failure.detail, failure.place, failure.hint)}"
