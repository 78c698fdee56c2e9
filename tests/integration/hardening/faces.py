"""The two command lines, for people and for machines, and what each of them says of the same failure."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from osbuild_core.model.errors import place_text
from tests.integration.engine.conftest import OSBUILD, OSBUILD_CORE, Bench, eventually

Place = tuple[str | int, ...]


class Face(NamedTuple):
    """One way to call the program. The same failure is looked at through each."""

    name: str
    program: Path
    json: bool

    def run(
        self, bench: Bench, manifest: Any, *more: Any, through: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Build ``manifest`` and export its pipeline ``p``, unless ``more`` exports something else.

        ``through`` is a command that runs the program, with less rights, say.
        """
        words: list[Any] = ["build"] if self.program == OSBUILD_CORE else []
        words += ["--store", bench.store, "--libdir", bench.library, manifest, *more]
        if "--export" not in more:
            words += ["--export", "p"]
        if "--output-directory" not in more:
            words += ["--output-directory", bench.directory / "out"]
        if self.json:
            words.append("--json")
        first, *words = (*through, self.program, *words)
        return bench.run(*words, program=Path(first))


FACES = (
    Face("osbuild-core", OSBUILD_CORE, False),
    Face("osbuild-core --json", OSBUILD_CORE, True),
    Face("osbuild", OSBUILD, False),
    Face("osbuild --json", OSBUILD, True),
)


def all_at_once(
    bench: Bench, manifest: Any, *more: Any, through: tuple[str, ...] = ()
) -> Iterator[tuple[Face, subprocess.CompletedProcess[str]]]:
    """Build through all faces at once, each with a store of its own; yield how, with that as ``bench.store``."""

    def run(face: Face) -> subprocess.CompletedProcess[str]:
        own = (
            "--store",
            bench.directory / face.name,
            "--output-directory",
            bench.directory / f"{face.name} out",
        )
        return face.run(bench, manifest, *own, *more, through=through)

    with ThreadPoolExecutor() as threads:
        every = list(threads.map(run, FACES))
    for face, done in zip(FACES, every, strict=True):
        bench.store = bench.directory / face.name
        yield face, done


class Expected(NamedTuple):
    """A failure as it is to be seen. ``what`` is who failed: manifest, run (it did not come about), source,
    stage, pipeline, export. ``message`` is in the error line, and ``hint``; a ``place`` of None may be any."""

    what: str
    code: str
    message: str = ""
    place: Place | None = ()
    hint: str = ""
    issues: int = 1

    @property
    def status(self) -> int:
        return 2 if self.what == "manifest" else 1


def check(face: Face, bench: Bench, done: subprocess.CompletedProcess[str], expected: Expected) -> None:
    """Fail unless ``done`` is that failure: status, one line, the document, nothing left behind."""
    context = f"{face.name}: status {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert done.returncode == expected.status, context
    said = list(outside_of_logs(done.stderr))
    assert not [line for line in said if line.startswith("Traceback")], context
    # What a terminal would take for a command of its own.
    assert not set(done.stderr) & {"\033", "\x9b", "\r"}, context
    errors = [line for line in said if line.startswith("error:")]
    if face.json:
        _check_document(face, json.loads(done.stdout), expected, context)
    elif face.program == OSBUILD_CORE:
        assert done.stdout == "", context
    # osbuild tells a program of a refused manifest in JSON alone.
    if not (face.json and face.program == OSBUILD and expected.what == "manifest"):
        assert len(errors) == expected.issues, context
        line = errors[0]
        assert expected.message in line, context
        assert expected.hint in line, context
        if expected.place:
            assert f"{place_text(expected.place)}: " in line, context
    # The process that starts everything ends with us, maybe a moment later.
    assert eventually(lambda: not leftovers(bench), 10), (context, leftovers(bench))


def leftovers(bench: Bench) -> list[str]:
    """Return what a build left behind; a small disk under the test is none of that."""
    return [line for line in bench.leftovers() if "/disk " not in line and "/image" not in line]


def outside_of_logs(text: str) -> Iterator[str]:
    """Yield the lines of ``text`` that are not the shown end of a log."""
    inside = False
    for line in text.splitlines():
        if line == "---" or line.startswith("--- "):
            inside = line != "---"
        elif not inside and not line.startswith("p | "):
            yield line


def first_error(document: dict[str, Any]) -> dict[str, Any]:
    """Return the first error of a document of osbuild-core that is no consequence of another."""
    errors = list(document.get("errors", []))
    errors += [source["error"] for source in document.get("sources", [])]
    for pipeline in document.get("pipelines", []):
        errors += [stage["error"] for stage in pipeline["stages"]] + [pipeline["error"]]
    errors += [export["error"] for export in document.get("exports", [])]
    found: dict[str, Any] = next(e for e in errors if e and e["code"] != "cancelled")
    return found


def _check_document(face: Face, document: dict[str, Any], expected: Expected, context: str) -> None:
    assert document["success"] is False, context
    if face.program == OSBUILD_CORE:
        error = first_error(document)
        assert error["code"] == expected.code, context
        assert expected.message in error["message"], context
        assert error["hint"] and expected.hint in error["hint"], context
        assert expected.place is None or error["path"] == list(expected.place), context
        return
    if expected.what == "manifest":
        assert document["title"] == "JSON Schema validation failed", context
        assert len(document["errors"]) == expected.issues, context
        assert expected.message in document["errors"][0]["message"], context
        assert document["errors"][0]["path"] == list(expected.place or ()), context
        return
    assert document["type"] == "error", context
    if expected.what == "stage":
        assert document["error"]["type"] == "org.osbuild.error.stage", context
        assert {"id", "type", "output", "error"} <= document["error"]["details"]["stage"].keys(), context
    elif expected.what == "source":
        assert document["error"]["type"] == "org.osbuild.error.source", context
        assert {"type", "output"} <= document["error"]["details"]["source"].keys(), context
    else:
        assert expected.message in json.dumps(document["error"], ensure_ascii=False), context
