"""A plan as text and as JSON."""

from __future__ import annotations

from osbuild_core.cli.plan import document, lines
from osbuild_core.model.manifest import Pipeline, Stage
from osbuild_core.model.plan import Fetch, Plan, PlannedPipeline, PlannedStage


def planned(name, count, first, *, host=False, **more):
    stages = tuple(Stage("org.osbuild.noop", f"{name}{n}", {}) for n in range(count))
    steps = tuple(
        PlannedStage(name, n, stage, f"{name}{n}".ljust(64, "0"), cached=n < first, host=host)
        for n, stage in enumerate(stages)
    )
    return PlannedPipeline(Pipeline(name, stages), steps, first, None, None, **more)


PLAN = Plan(
    (
        planned("build", 2, 2, host=True),
        planned("os", 2, 1, pipelines=("build",), fetches=(0,)),
    ),
    (Fetch(0, ("sha256:1", "sha256:2")),),
    (("os", "os", None),),
)


def test_as_text():
    assert lines(PLAN, [["sha256:2"]]) == [
        "build: in the store (2 stages)",
        "os: after pipeline build, 1 items to fetch",
        "  cached org.osbuild.noop (key os0000000000)",
        "  run    org.osbuild.noop (key os1000000000)",
        "1 stages to run, 3 in the store, 1 items to fetch",
    ]


def test_as_json():
    found = document(PLAN, [["sha256:2"]])
    assert [[stage["run"] for stage in p["stages"]] for p in found["pipelines"]] == [
        [False, False],
        [False, True],
    ]
    assert found["pipelines"][0]["stages"][0]["host"]
    assert found["fetches"] == [{"source": 0, "checksums": ["sha256:1", "sha256:2"], "missing": ["sha256:2"]}]
    assert found["exports"] == [{"name": "os", "pipeline": "os"}]
