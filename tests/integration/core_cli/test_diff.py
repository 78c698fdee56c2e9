"""``osbuild-core diff``: statuses as diff(1) has them, names of trees, text and JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Cli, hello, stage

pytestmark = pytest.mark.root


@pytest.fixture
def built(cli: Cli) -> Cli:
    """Two manifests: the second changes, adds and removes something."""
    more = hello("other")
    paths = {"paths": [{"path": "/new"}, {"path": "/new/deep"}]}
    more[0]["stages"] += [
        stage("mkdir", paths),
        stage("chmod", {"items": {"/etc/hostname": {"mode": "0600"}}}),
        stage("ln", {"paths": [{"target": "a b", "link_name": "tree:///link", "symbolic": True}]}),
    ]
    cli.done("build", cli.manifest(name="a.json"))
    cli.done("build", cli.manifest(more, name="b.json"))
    return cli


def test_the_same_is_the_same(built: Cli) -> None:
    key = built.objects()["tree: org.osbuild.mkdir"]["key"]
    done = built.run("diff", key, key)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no difference\n")


def test_pipelines_of_manifests(built: Cli) -> None:
    done = built.run("diff", "a.json:tree", "b.json:tree")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "~ /etc/hostname: content, mode 0644 -> 0600",
        "+ /link",
        "+ /new/",
        "+ /new/deep/",
    ]
    assert done.stderr == "3 added, 1 changed\n"
    back = built.run("diff", "b.json:tree", "a.json:tree")
    assert back.stdout.splitlines()[1:] == ["- /link", "- /new/", "- /new/deep/"]
    # Nothing in common but the root directory.
    done = built.run("diff", "a.json:tree", "a.json:archive", "--json")
    kinds = {d["path"]: d["kind"] for d in json.loads(done.stdout)["differences"]}
    assert kinds == {"/etc": "removed", "/etc/hostname": "removed", "/hello.tar": "added"}


def test_keys_ids_and_their_first_digits(built: Cli) -> None:
    objects = {one["key"]: one for one in built.json("store", "ls")["objects"] if one["id"]}
    stages = built.json("plan", "a.json", "--export", "tree")["pipelines"][0]["stages"]
    first, second = (objects[one["key"]] for one in stages)
    expected = built.run("diff", first["key"], second["key"]).stdout
    assert expected == "+ /etc/hostname\n"
    for name in ("id", "key"):
        assert built.run("diff", first[name][:10], second[name]).stdout == expected


def test_as_json(built: Cli) -> None:
    done = built.run("diff", "a.json:tree", "b.json:tree", "--mtime", "--json")
    document: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, document["same"]) == (1, False)
    found = {one["path"]: one for one in document["differences"]}
    hostname = found["/etc/hostname"]
    assert (hostname["kind"], hostname["type"]) == ("changed", "file")
    assert hostname["what"] == ["content", "mode", "mtime"]
    assert (hostname["before"]["mode"], hostname["after"]["mode"]) == ("0644", "0600")
    assert found["/link"]["type"] == "link"


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("abcdef0", "abcdef0"), "the store has no object abcdef0"),
        (("abc", "abcdef0"), "at least 6 digits are needed"),
        (("tree", "tree"), "MANIFEST:PIPELINE"),
        (("a.json:tre", "a.json:tree"), "did you mean 'tree'?"),
        (("none.json:tree", "a.json:tree"), "cannot read none.json"),
        (("c.json:tree", "a.json:tree"), "build it first"),
        (("c.json:empty", "a.json:tree"), "it has no stages"),
    ],
)
def test_trouble_has_a_status_of_its_own(built: Cli, names: tuple[str, str], says: str) -> None:
    built.manifest([*hello("never built"), {"name": "empty"}], name="c.json")
    done = built.run("diff", *names)
    assert done.returncode == 2
    assert says in done.stderr and done.stderr.startswith("error: ")
    assert json.loads(built.run("diff", *names, "--json").stdout)["success"] is False


def test_an_id_of_several_objects_is_ambiguous(built: Cli) -> None:
    disk = [stage("truncate", {"filename": "disk", "size": "20M"})]
    for start in (0, 2048):
        device = {"type": "org.osbuild.loopback", "options": {"filename": "disk", "start": start}}
        uuid = {"uuid": "5a3d7c4e-9b52-4f0c-8a55-0d5d1c1f9a01"}
        mkfs = stage("mkfs.ext4", uuid, devices={"device": device})
        built.done("build", built.manifest([{"name": "disk", "stages": [*disk, mkfs]}], name=f"{start}.json"))
    ids = {
        one["id"] for one in built.json("store", "ls")["objects"] if one["stage"] == "org.osbuild.mkfs.ext4"
    }
    assert len(ids) == 1
    done = built.run("diff", ids.pop(), "a.json:tree")
    assert done.returncode == 2
    assert "may be one of 2 objects" in done.stderr
    assert built.run("diff", "0.json:disk", "2048.json:disk").stdout == "~ /disk: content\n"
