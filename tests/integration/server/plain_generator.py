"""Makes composes for tests of the service: real files in the real layout, without packages and without root.

The last part of the source says what is to happen: ``fail``, ``hostile`` (fails with markup), ``flaky`` (fails once
for the network), ``crash`` (the process dies), ``slow-0.5`` (seconds), ``secret`` (a link out of the directory),
``updated`` (the first time, its revision changes after some time); anything else is just made.
What was made is noted in ``made`` next to the target directory, one line each.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.generate import Place, Result, remove
from osbuild_core.exports.compose.place import link_by_type
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType

__all__ = ["generate", "remove", "resolve", "tag_changed"]
Log = Callable[[str], None]


def resolve(request: ComposeRequest, settings: Any, log: Log | None = None) -> ComposeRequest:
    if request.source.endswith("unknown"):
        raise ComposeError(f"{request.source} is not there", code="compose.source")
    event = request.koji_event or _revision(settings)
    return dataclasses.replace(request, koji_event=event)


def _revision(settings: Any) -> int:
    """Return the revision of what ``updated`` names; that of everything else is the same."""
    file = settings.store.parent / "revision"
    return int(file.read_text()) if file.exists() else 7


def tag_changed(settings: Any, arches: tuple[str, ...]) -> Callable[[str, int], bool]:
    return lambda tag, event: tag.endswith("moving")


def generate(
    request: ComposeRequest,
    place: Place,
    settings: Any,
    *,
    locked: Mapping[str, Any] | None = None,
    log: Log | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Result:
    what = request.source.rpartition("/")[2]
    place.directory.mkdir(parents=True, exist_ok=True)
    errors = place.directory / "pungi-stderr.log"
    with errors.open("a") as lines:
        print(f"compose {place.id} of {request.source}", file=lines)
    print("a library prints this")
    if what == "crash":
        os.kill(os.getpid(), 9)
    if what == "fail":
        with errors.open("a") as lines:
            print("package ed is missing", file=lines)
        raise ComposeError("package ed is missing", code="compose.packages")
    if what == "hostile":
        raise ComposeError(
            "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> is missing", code="compose.packages"
        )
    if what == "flaky" and not (place.target_dir.parent / "flaked").exists():
        (place.target_dir.parent / "flaked").touch()
        raise ComposeError("the mirror does not answer", code="compose.source", retryable=True)
    if what == "updated":
        if not (settings.store.parent / "revision").exists():
            time.sleep(1)
            (settings.store.parent / "revision").write_text("8")
        if request.koji_event != 8:
            raise ComposeError("the source is at revision 8 now", code="compose.source", retryable=True)
    if what.startswith("slow-"):
        end = time.monotonic() + float(what.removeprefix("slow-"))
        while time.monotonic() < end:
            with errors.open("a") as lines:
                print("still at it", file=lines)
            time.sleep(0.05)
    top = place.directory / "compose" / "Temporary"
    top.mkdir(parents=True, exist_ok=True)
    (top / f"odcs-{place.id}.repo").write_text(f"[odcs-{place.id}]\nbaseurl={place.url}/odcs-{place.id}\n")
    if what == "secret":
        with contextlib.suppress(FileExistsError):
            (top / "passwd").symlink_to("/etc/passwd")
            (top / "up").symlink_to("/etc")
            (top / "round").symlink_to(".")
            (top / "i686").mkdir()
            (top / "i686/there").write_text("there\n")
            (top / "i386").symlink_to("i686")
    with (place.target_dir.parent / "made").open("a") as made:
        made.write(f"{place.id} {request.source} {sorted(request.packages)}\n")
    repository = request.source_type is not SourceType.raw_config
    if not repository:
        link_by_type(place, request.compose_type, f"odcs-{place.id}-1", request.source.partition("#")[0])
    return Result(
        directory=place.directory,
        pungi_compose_id=f"odcs-{place.id}-1-19700101.t.0",
        toplevel=place.name,
        result_repo=f"{place.name}/compose/Temporary" if repository else "",
        result_repofile=f"{place.name}/compose/Temporary/odcs-{place.id}.repo" if repository else "",
        locked=dict(locked)
        if locked
        else {"packages": sorted(request.packages), "event": request.koji_event, "made": place.id},
        packages=0,
        arches=request.arches,
    )


if __name__ == "__main__":
    sys.exit("this is for the service")
