"""How far a build is, from its outline and its events."""

from __future__ import annotations

from typing import Any

from osbuild_core.server.page.progress import PipelineOutline, Progress, progress

OUTLINE = (
    PipelineOutline("build", ("org.osbuild.deb",)),
    PipelineOutline(
        "tree", ("org.osbuild.mkdir", "org.osbuild.hostname", "org.osbuild.users"), "build", ("data",)
    ),
)
RUN = ("run", {"pipelines": 2, "stages": 4, "items": 0, "time": 100.0})


def seen(*happened: tuple[str, dict[str, Any]], **more: Any) -> Progress:
    given: dict[str, Any] = {"now": 110.0, "over": False, **more}
    return progress(OUTLINE, happened, **given)


def states(found: Progress, name: str = "tree") -> list[str]:
    (pipeline,) = [one for one in found.pipelines if one.name == name]
    return [pipeline.state, *(stage.state for stage in pipeline.stages)]


def begun(first: int = 0) -> tuple[str, dict[str, Any]]:
    return "pipeline", {"pipeline": "tree", "first": first, "total": 3, "time": 101.0}


def stage(number: int, at: float) -> tuple[str, dict[str, Any]]:
    type = OUTLINE[1].stages[number]
    return "stage", {"pipeline": "tree", "number": number, "type": type, "id": "x", "time": at}


def ended(number: int, error: str | None = None) -> tuple[str, dict[str, Any]]:
    told = None if error is None else {"code": "stage.failed", "message": error, "path": []}
    return "stage-finished", {
        "pipeline": "tree",
        "number": number,
        "success": error is None,
        "seconds": 2.5,
        "error": told,
    }


def test_what_waits() -> None:
    found = seen()
    assert states(found) == ["waiting"] * 4
    assert (found.stages, found.over) == (4, 0)
    assert (found.pipelines[1].build, found.pipelines[1].takes) == ("build", ("data",))


def test_what_is_in_the_store_and_what_runs() -> None:
    found = seen(RUN, begun(1), stage(1, 104.0), ended(1), stage(2, 108.0))
    assert states(found) == ["running", "cached", "done", "running"]
    tree = found.pipelines[1]
    assert [one.seconds for one in tree.stages] == [None, 2.5, 2.0]
    assert tree.seconds == 9.0
    assert found.over == 2


def test_a_clock_that_is_behind() -> None:
    assert seen(RUN, begun(), stage(0, 130.0)).pipelines[1].stages[0].seconds == 0.0


def test_what_failed_and_what_did_not_run() -> None:
    over = ("pipeline-finished", {"pipeline": "tree", "success": False, "seconds": 3.0, "error": None})
    found = seen(RUN, begun(), stage(0, 101.0), ended(0, "no such file"), over, over=True)
    assert states(found) == ["failed", "failed", "not run", "not run"]
    assert found.pipelines[1].stages[0].error == "no such file"
    assert states(found, "build") == ["not run", "not run"]


def test_what_was_canceled() -> None:
    export = ("export", {"name": "image"})
    found = seen(RUN, begun(), stage(0, 101.0), export, over=True)
    assert states(found) == ["stopped", "stopped", "not run", "not run"]
    assert [one.state for one in found.exports] == ["stopped"]


def test_a_worker_that_takes_over_begins_anew() -> None:
    found = seen(RUN, begun(), stage(0, 101.0), ended(0), RUN)
    assert states(found) == ["waiting"] * 4
    assert found.attempt == 2


def test_what_only_the_result_tells() -> None:
    cached = {"type": "org.osbuild.deb", "id": "x", "success": True, "cached": True}
    result = {"pipelines": [{"name": "build", "success": True, "stages": [cached]}]}
    found = seen(RUN, over=True, result=result)
    assert states(found, "build") == ["cached", "cached"]


def test_without_an_outline() -> None:
    found = progress((), [RUN, begun(1), stage(1, 104.0)], now=105.0, over=False)
    assert states(found) == ["running", "cached", "running", "waiting"]
