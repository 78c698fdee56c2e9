"""``osbuild-core store``: listed, cleaned, verified; and nothing is made by looking."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import CHECKSUM, CONTENT, OSBUILD_CORE, Cli, hello, stage

pytestmark = pytest.mark.root

WEEK = 7 * 86400


def with_source() -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return pipelines and sources: the two of hello, and a file in a third."""
    files = {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [CHECKSUM]}
    copy = stage(
        "copy", {"paths": [{"from": f"input://f/{CHECKSUM}", "to": "tree:///f"}]}, inputs={"f": files}
    )
    item = {"encoding": "base64", "data": base64.b64encode(CONTENT).decode()}
    return [*hello(), {"name": "file", "stages": [copy]}], {"org.osbuild.inline": {"items": {CHECKSUM: item}}}


@pytest.fixture
def built(cli: Cli) -> Cli:
    pipelines, sources = with_source()
    cli.done("build", cli.manifest(pipelines, sources=sources))
    return cli


def age(cli: Cli, key: str, seconds: float) -> None:
    """Have an object look as if it was used last so long ago."""
    then = time.time() - seconds
    os.utime(cli.store / "objects" / key / "object.json", (then, then))


@pytest.mark.parametrize("command", ["info", "ls", "gc", "verify"])
@pytest.mark.parametrize("there", [False, True])
def test_looking_makes_no_store(cli: Cli, command: str, there: bool) -> None:
    if there:
        cli.store.mkdir()
    done = cli.run("store", command, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["errors"][0]["code"] == "store.none"
    assert os.listdir(cli.directory) == ([".osbuild"] if there else [])
    assert not there or os.listdir(cli.store) == []


def test_a_plan_makes_no_store_either(cli: Cli) -> None:
    pipelines, sources = with_source()
    plan = cli.json("plan", cli.manifest(pipelines, sources=sources))
    assert all(stage["run"] for pipeline in plan["pipelines"] for stage in pipeline["stages"])
    assert plan["fetches"][0]["missing"] == [CHECKSUM]
    assert not cli.store.exists()


def test_a_plan_knows_the_files_of_a_store_of_osbuild(cli: Cli) -> None:
    (cli.store / "sources/org.osbuild.files").mkdir(parents=True)
    (cli.store / "sources/org.osbuild.files" / CHECKSUM).write_bytes(CONTENT)
    pipelines, sources = with_source()
    assert cli.json("plan", cli.manifest(pipelines, sources=sources))["fetches"][0]["missing"] == []


def test_what_is_listed(built: Cli) -> None:
    listed = built.json("store", "ls")
    found = {f"{one['pipeline']}: {one['stage']}": one for one in listed["objects"]}
    assert set(found) == {
        "tree: org.osbuild.mkdir",
        "tree: org.osbuild.hostname",
        "archive: org.osbuild.tar",
        "file: org.osbuild.copy",
        "None: None",
    }
    hostname = found["tree: org.osbuild.hostname"]
    assert (hostname["depth"], hostname["parent"]) == (2, found["tree: org.osbuild.mkdir"]["key"])
    assert hostname["durable"] and not hostname["pinned"] and hostname["bytes"] > 0
    assert found["None: None"]["runner"].startswith("org.osbuild.")
    assert listed["sources"]["org.osbuild.files"]["items"] == 1
    text = built.done("store", "ls", "--sort", "depth").splitlines()
    assert text[0].split() == ["KEY", "ID", "SIZE", "AGE", "USED", "FLAGS", "DEPTH", "WHAT"]
    assert text[1].startswith(hostname["key"][:12]) and text[1].endswith("tree: hostname")
    assert hostname["id"][:12] in text[1]
    assert text[-2].startswith("objects: 5 (") and text[-1].startswith("sources: 1 org.osbuild.files (")


@pytest.mark.parametrize("order", ["used", "created", "size", "depth", "key"])
def test_every_order_and_its_reverse(built: Cli, order: str) -> None:
    keys = [one["key"] for one in built.json("store", "ls", "--sort", order)["objects"]]
    back = [one["key"] for one in built.json("store", "ls", "--sort", order, "--reverse")["objects"]]
    assert keys == back[::-1] and len(keys) == 5
    if order == "key":
        assert keys == sorted(keys)


def test_listing_is_no_use(built: Cli) -> None:
    key = built.objects()["archive: org.osbuild.tar"]["key"]
    age(built, key, WEEK)
    assert time.time() - built.objects()["archive: org.osbuild.tar"]["last_used"] > WEEK - 60
    assert built.objects()["archive: org.osbuild.tar"]["last_used"] < time.time() - WEEK + 60


def test_old_objects_go_children_first_and_checkpoints_stay(built: Cli) -> None:
    (built.store / "objects" / built.objects()["archive: org.osbuild.tar"]["key"] / "pinned").touch()
    for name, one in built.objects().items():
        if name != "file: org.osbuild.copy":
            age(built, one["key"], 2 * WEEK)
    would = built.json("store", "gc", "--older-than", "1w", "--dry-run")
    assert len(built.objects()) == 5
    did = built.json("store", "gc", "--older-than", "1w")
    assert {**would, "dry_run": False} == did
    assert [one["what"] for one in did["objects"] if one["what"].startswith("tree")] == [
        "tree: hostname",
        "tree: mkdir",
    ]
    assert set(built.objects()) == {"archive: org.osbuild.tar", "file: org.osbuild.copy"}
    assert did["sources"] == [] and did["freed"] > 0


def test_down_to_a_size(built: Cli) -> None:
    before = built.json("store", "info")
    did = built.json("store", "gc", "--max-size", "0")
    assert did["left"] == 0
    assert did["freed"] == before["object_bytes"] + before["source_bytes"]
    after = built.json("store", "info")
    assert (after["objects"], after["sources"]) == (0, 0)
    assert built.done("store", "gc", "--max-size", "0").splitlines() == ["freed 0 B, 0 B left"]


def test_what_killed_builds_left_goes_and_the_dry_run_leaves_it(built: Cli) -> None:
    left = built.store / "tmp" / "core-work-0123"
    left.mkdir()
    (left / "file").write_bytes(b"x" * 10_000)
    (built.store / "logs" / "old.log").write_text("old")
    os.utime(built.store / "logs" / "old.log", (0, 0))
    would = built.json("store", "gc", "--dry-run")
    assert [(one["kind"], one["name"]) for one in would["garbage"]] == [("leftover", "core-work-0123")]
    assert would["freed"] >= 10_000 and left.is_dir()
    did = built.json("store", "gc", "--older-than", "30d")
    assert [one["kind"] for one in did["garbage"]] == ["leftover", "log"]
    assert not left.exists() and not (built.store / "logs" / "old.log").exists()
    assert len(built.objects()) == 5


def broken(built: Cli) -> Path:
    """Break one thing of each kind; return the source file."""
    objects = built.objects()
    (built.store / "objects" / objects["tree: org.osbuild.mkdir"]["key"] / "object.json").write_text("{}")
    (built.store / "objects" / objects["archive: org.osbuild.tar"]["key"] / "layer").rename(
        built.directory / "l"
    )
    (built.store / "objects" / "stray").mkdir()
    source = built.store / "sources/org.osbuild.files" / CHECKSUM
    source.write_bytes(b"contenT\n")
    return source


def test_a_sound_store_is_found_so(built: Cli) -> None:
    found = built.json("store", "verify")
    assert (found["success"], found["objects"], found["sources"], found["broken"]) == (True, 5, 1, [])
    assert built.done("store", "verify").endswith(": all well\n")


def test_what_is_broken_is_found_and_on_request_removed(built: Cli) -> None:
    objects = built.objects()
    source = broken(built)
    done = built.run("store", "verify", "--json")
    assert done.returncode == 1
    reasons = {one["name"]: one["reason"] for one in json.loads(done.stdout)["broken"]}
    assert reasons[objects["tree: org.osbuild.mkdir"]["key"]] == "object.json is not what a store writes"
    assert "lies on" in reasons[objects["tree: org.osbuild.hostname"]["key"]]
    assert reasons[objects["archive: org.osbuild.tar"]["key"]] == "its layer is missing"
    assert reasons["stray"].startswith("object.json cannot be opened")
    assert reasons[f"org.osbuild.files/{CHECKSUM}"].startswith("its content has the checksum sha256:")
    assert len(reasons) == 5
    assert len(os.listdir(built.store / "objects")) == 6 and source.exists()

    repaired = built.json("store", "verify", "--repair")
    assert repaired["success"] and all(one["removed"] for one in repaired["broken"])
    assert len(repaired["broken"]) == 5
    assert len(os.listdir(built.store / "objects")) == 2 and not source.exists()
    assert built.json("store", "verify")["broken"] == []
    # What was removed is built again.
    pipelines, sources = with_source()
    built.done("build", built.manifest(pipelines, sources=sources), "--export", "archive", "-o", "out")
    assert (built.directory / "out/archive/hello.tar").is_file()


@pytest.mark.parametrize(("options", "whole"), [((), False), (("--xattrs", "--xattrs-include=*"), True)])
def test_a_copy_that_lost_attributes_is_not_trusted(
    built: Cli, options: tuple[str, ...], whole: bool
) -> None:
    """In them the layers say what was deleted, and which files are elsewhere."""
    subprocess.run(
        ["tar", *options, "-C", built.store, "-cf", built.directory / "store.tar", "."], check=True
    )
    built.store.rename(built.directory / "old")
    built.store.mkdir()
    subprocess.run(["tar", *options, "-C", built.store, "-xf", built.directory / "store.tar"], check=True)
    done = built.run("store", "verify", "--json")
    broken = json.loads(done.stdout)["broken"]
    assert (done.returncode, len(broken)) == ((0, 0) if whole else (1, 5))
    assert all("was copied without them" in one["reason"] for one in broken)
    result = built.json("build", "m.json")
    assert {stage["cached"] for p in result["pipelines"] for stage in p["stages"]} == {whole}
    assert built.json("store", "verify")["broken"] == []


def test_collection_takes_what_is_broken_too(built: Cli) -> None:
    broken(built)
    would = built.json("store", "gc", "--dry-run")
    assert [one["kind"] for one in would["garbage"]] == ["broken object"] * 4
    assert len(os.listdir(built.store / "objects")) == 6
    did = built.json("store", "gc")
    assert did["garbage"] == would["garbage"]
    assert len(os.listdir(built.store / "objects")) == 2


def test_a_build_keeps_what_it_uses(cli: Cli) -> None:
    """Collect and verify with --repair again and again while a build runs: it does not notice."""
    pipelines: list[dict[str, Any]] = []
    for number in range(6):
        paths = {"paths": [{"path": f"/d{number}-{i}"} for i in range(3)]}
        stages = [stage("mkdir", {"paths": [path]}) for path in paths["paths"]] + [stage("noop")] * 3
        pipelines.append({"name": f"p{number}", "stages": stages})
    pipelines[3]["stages"].append(
        stage(
            "tar",
            {"filename": "t.tar"},
            inputs={
                "tree": {
                    "type": "org.osbuild.tree",
                    "origin": "org.osbuild.pipeline",
                    "references": ["name:p0"],
                }
            },
        )
    )
    manifest = cli.manifest(pipelines)
    command = [str(OSBUILD_CORE), "build", manifest, "--export", "p3", "--export", "p5", "-o", "out"]
    build = subprocess.Popen(
        command,
        cwd=cli.directory,
        env=cli.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    rounds = 0
    try:
        while build.poll() is None:
            if (cli.store / "store.json").exists():
                assert cli.run("store", "gc").returncode == 0
                found = cli.run("store", "verify", "--repair", "--json")
                assert json.loads(found.stdout)["broken"] == [], found.stdout
                assert cli.run("store", "ls").returncode == 0
                rounds += 1
    finally:
        output, _ = build.communicate(timeout=120)
    assert build.returncode == 0, output
    assert rounds > 0
    assert (cli.directory / "out/p3/t.tar").is_file()
