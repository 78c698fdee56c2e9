"""Builds beside each other: pipelines of one manifest, processes on one store."""

from __future__ import annotations

import json
from collections import Counter

import pytest

pytestmark = pytest.mark.root

DISK = {"type": "org.osbuild.loopback", "options": {"filename": "disk"}}


def step(n):
    return {"type": "org.osbuild.step", "options": {"n": n}}


def disk_of(size="4194304"):
    return {"type": "org.osbuild.truncate", "options": {"filename": "disk", "size": size}}


def mkfs(label):
    options = {"uuid": "2ee5b0ae-5b6a-4c08-a5e9-4b3b0b3b4b0e", "label": label}
    return {"type": "org.osbuild.mkfs.ext4", "options": options, "devices": {"device": DISK}}


@pytest.fixture
def stepping(bench):
    bench.add_stage(
        "org.osbuild.step",
        "time.sleep(0.05); open(f\"{args['tree']}/{args['options']['n']}\", 'w').close()",
    )
    return bench


def ran(document):
    return Counter(
        (p["name"], n) for p in document["pipelines"] for n, s in enumerate(p["stages"]) if not s["cached"]
    )


def test_processes_on_one_store_build_each_stage_once(stepping):
    manifest = stepping.manifest(
        *({"name": f"p{n}", "stages": [step(f"{n}-{m}") for m in range(3)]} for n in range(3))
    )
    processes = [stepping.start(manifest, "--json", "--jobs", jobs) for jobs in (1, 2, 8)]
    total: Counter[tuple[str, int]] = Counter()
    for process in processes:
        out, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
        total += ran(json.loads(out))
    assert len(total) == 9 and set(total.values()) == {1}
    assert stepping.leftovers() == []


@pytest.mark.parametrize("jobs", [1, 2, 8])
def test_pipelines_that_share_stages_build_them_once(stepping, jobs):
    manifest = stepping.manifest(
        {"name": "a", "stages": [step(1), step(2)]},
        {"name": "b", "stages": [step(1), step(2)]},
        {"name": "c", "stages": [step(1), step(3)]},
    )
    document = stepping.result(manifest, "--jobs", jobs)
    assert [p["name"] for p in document["pipelines"]] == ["a", "b", "c"]
    assert sum(ran(document).values()) == 3
    assert stepping.ran(manifest) == []


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_disk_that_is_changed_in_place_is_nobody_elses(stepping, jobs):
    """What one pipeline takes over, another builds again, or has held before."""
    pipelines = [
        {"name": "a", "stages": [disk_of(), step(1), mkfs("a"), mkfs("b")]},
        {"name": "b", "stages": [disk_of(), step(1), mkfs("c")]},
        {"name": "c", "stages": [disk_of(), step(1)]},
    ]
    manifest = stepping.manifest(*pipelines)
    out = stepping.directory / "out"
    arguments = [word for p in pipelines for word in ("--export", p["name"])]
    stepping.result(manifest, "--jobs", jobs, *arguments, "-o", out)
    assert stepping.ran(manifest) == []
    labels = [(out / name / "disk").read_bytes()[0x478:0x488].rstrip(b"\0") for name in "abc"]
    assert labels == [b"b", b"c", b""]
    assert stepping.leftovers() == []


def test_a_failure_after_a_disk_was_changed_in_place_costs_no_more_than_its_stages(stepping):
    stepping.add_stage("org.osbuild.bad", "return 1")
    bad = {"type": "org.osbuild.bad", "devices": {"device": DISK}}
    stages = [step(1), disk_of(), mkfs("a")]
    done = stepping.build(stepping.manifest({"name": "p", "stages": [*stages, bad]}))
    assert done.returncode == 1
    again = stepping.ran(stepping.manifest({"name": "p", "stages": [*stages, step(2)]}))
    # The first stage is one that nobody took over.
    assert again and ("p", 0) not in again


def test_what_is_pinned_is_not_changed_in_place(stepping):
    stages = [disk_of(), mkfs("a")]
    stepping.result(
        stepping.manifest({"name": "p", "stages": stages}), "--checkpoint", "org.osbuild.truncate"
    )
    assert stepping.ran(stepping.manifest({"name": "p", "stages": [disk_of(), step(2)]})) == [("p", 1)]


def test_results_come_in_the_order_of_the_plan_and_say_what_was_not_run(stepping):
    stepping.add_stage("org.osbuild.bad", "return 1")
    manifest = stepping.manifest(
        {"name": "bad", "stages": [step(1), {"type": "org.osbuild.bad"}, step(2)]},
        {"name": "needs", "build": "name:bad", "stages": [step(3)]},
        {"name": "good", "stages": [step(4)]},
    )
    done = stepping.build(manifest, "--keep-going", "--jobs", 4, "--json")
    assert done.returncode == 1
    found = {
        p["name"]: ([s["success"] for s in p["stages"]], (p["error"] or {}).get("code"))
        for p in json.loads(done.stdout)["pipelines"]
    }
    assert found == {
        "bad": ([True, False], None),
        "needs": ([], "cancelled"),
        "good": ([True], None),
    }
    assert list(found) == ["bad", "needs", "good"]
