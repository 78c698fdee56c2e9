"""The entry points: a request is resolved to what it means now, and becomes a compose in a directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osbuild_core.exports.compose import place as places
from osbuild_core.exports.compose import sources
from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.images import check_program
from osbuild_core.exports.compose.journal import Journal
from osbuild_core.exports.compose.lock import Lock, from_json
from osbuild_core.exports.compose.place import Place, remove
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.tags import tag_changed
from osbuild_core.model.errors import OsbuildError

__all__ = ["Place", "Result", "generate", "remove", "resolve", "tag_changed"]

Log = Callable[[str], None]
"""Gets one line about what is going on."""


@dataclass(frozen=True, slots=True)
class Result:
    """A compose that is there. Paths are relative to the target directory, empty where there is no such thing.

    ``locked`` is JSON: all that it takes to make the same content again, the engine's manifest in it.
    ``pungi_compose_id`` is the id in its metadata, ``packages`` the number of packages in it.
    """

    directory: Path
    pungi_compose_id: str
    toplevel: str
    result_repo: str
    result_repofile: str
    locked: Mapping[str, Any]
    packages: int
    arches: tuple[str, ...]


def resolve(request: ComposeRequest, settings: ComposeSettings, log: Log | None = None) -> ComposeRequest:
    """Return the request with its source made exact and ``koji_event`` set, as the decision on reuse needs it.

    Reads metadata of repositories from the network. A ``koji_event`` that it has stays. Raises ComposeError.
    """
    try:
        return sources.resolve(request, settings)
    except ComposeError:
        raise
    except OsbuildError as error:
        raise _of(error) from error


def generate(
    request: ComposeRequest,
    place: Place,
    settings: ComposeSettings,
    *,
    locked: Mapping[str, Any] | None = None,
    log: Log | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Result:
    """Make the compose of a resolved request in ``place``; it appears there whole or, but for its logs, not at all.

    ``locked`` is that of an earlier :class:`Result`: the same packages again. What happens is written to
    ``pungi-stdout.log`` and ``pungi-stderr.log`` in the directory, and to ``log``. ``cancelled`` is asked now and
    then. Needs root, as the engine does. Raises ComposeError.
    """
    with places.claimed(place) as work, Journal(place.directory, log) as journal:
        try:
            check_program(request)
            lock = from_json(locked) if locked is not None else sources.lock(request, settings, journal.say)
            _check_revision(request, lock, fresh=locked is None)
            _check_cancelled(cancelled)
            result = _make(request, lock, place, settings, work, journal, cancelled)
        except OsbuildError as error:
            journal.fail_with(error)
            if isinstance(error, ComposeError):
                raise
            raise _of(error) from error
        except Exception as error:
            journal.fail(str(error) or type(error).__name__)
            raise
        except BaseException:
            # SIGINT, or what the service's worker raises.
            journal.fail("the compose was stopped before it was done")
            raise
        journal.say(f"compose {result.pungi_compose_id} is done: {result.packages} packages")
    return result


def _make(
    request: ComposeRequest,
    lock: Lock,
    place: Place,
    settings: ComposeSettings,
    work: Path,
    journal: Journal,
    cancelled: Callable[[], bool],
) -> Result:
    from osbuild_core.exports.compose.layout import building_fill, lay_out

    fill = building_fill(lock, settings, work, journal.say, cancelled)
    made = lay_out(request, lock, place, settings, work, fill)
    for image in made.images:
        journal.say(f"image {image.path}: {image.size} bytes, sha256:{image.sha256}")
    _check_cancelled(cancelled)
    places.publish(place, work, made.compose_id)
    if lock.kind == "image":
        name = request.source.partition("#")[0]
        latest = "-".join([name, settings.release_version, *([request.label] if request.label else [])])
        try:
            places.link_by_type(place, request.compose_type, made.compose_id, latest)
        except OSError as error:
            # It can be had without.
            journal.say(f"there are no links to it: {error.strerror}")
    return Result(
        directory=place.directory,
        pungi_compose_id=made.compose_id,
        toplevel=place.name,
        result_repo=made.result_repo,
        result_repofile=made.result_repofile,
        locked=lock.to_json(),
        packages=lock.packages(),
        arches=lock.arches,
    )


def _check_cancelled(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise ComposeError("the compose was cancelled", code="compose.cancelled")


def _check_revision(request: ComposeRequest, lock: Lock, *, fresh: bool) -> None:
    """Refuse to make a compose of another revision of the source than the one that was decided on."""
    if fresh and None not in (request.koji_event, lock.revision) and request.koji_event != lock.revision:
        raise ComposeError(
            f"the source is at revision {lock.revision} now, and {request.koji_event} is wanted",
            code="compose.source",
            hint="ask again without a revision; a renewed compose needs what the old one locked",
            retryable=True,
        )


def _of(error: OsbuildError) -> ComposeError:
    """Return an error of a part below us as one of ours."""
    codes = {
        "resolve.package": "compose.packages",
        "resolve.unsolvable": "compose.dependencies",
        "cancelled": "compose.cancelled",
    }
    code = codes.get(error.code, "compose.source" if error.code.startswith("resolve") else "compose.build")
    return ComposeError(
        error.detail, code=code, hint=error.hint, place=error.place, retryable=error.retryable
    )
