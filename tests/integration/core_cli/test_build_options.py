"""``build --fetch-only``, ``--debug``, ``--json``: what is done, what is said of it, and to whom."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterator
from typing import Any

import click
import pytest

from osbuild_core.cli.commands import group

from .conftest import Cli, hello, stage

COMMANDS: dict[tuple[str, ...], int] = {
    ("build", "m.json"): 0,
    ("build", "m.json", "--fetch-only"): 0,
    ("completion", "bash"): 0,
    ("diff", "m.json:tree", "m.json:tree"): 0,
    ("graph", "m.json"): 0,
    ("inspect", "m.json"): 0,
    ("modules", "list"): 0,
    ("modules", "new", "stage/x"): 0,
    ("modules", "show", "copy"): 0,
    ("plan", "m.json"): 0,
    ("resolve", "t.yaml"): 0,
    ("store", "gc"): 0,
    ("store", "info"): 0,
    ("store", "ls"): 0,
    ("store", "verify"): 0,
}
"""Every command with what it needs."""


def items(*names: str) -> tuple[dict[str, Any], list[str]]:
    """Return a source with a file for each name, and their checksums."""
    sums = [f"sha256:{hashlib.sha256(name.encode()).hexdigest()}" for name in names]
    encoded = [base64.b64encode(name.encode()).decode() for name in names]
    content = {s: {"encoding": "base64", "data": data} for s, data in zip(sums, encoded, strict=True)}
    return {"org.osbuild.inline": {"items": content}}, sums


def copies(checksum: str) -> dict[str, Any]:
    files = {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [checksum]}
    paths = {"paths": [{"from": f"input://f/{checksum}", "to": "tree:///f"}]}
    return stage("copy", paths, inputs={"f": files})


@pytest.mark.parametrize(
    ("exports", "wanted"), [((), {0, 1, 2}), (("one",), {0}), (("one", "two"), {0, 1}), (("none",), set())]
)
def test_fetching_only_what_is_needed(cli: Cli, exports: tuple[str, ...], wanted: set[int]) -> None:
    sources, sums = items("a", "b", "unused")
    pipelines = [
        {"name": "one", "stages": [copies(sums[0])]},
        {"name": "two", "stages": [copies(sums[1])]},
        {"name": "none", "stages": [stage("noop")]},
    ]
    arguments = [word for name in exports for word in ("--export", name)]
    result = cli.json("build", cli.manifest(pipelines, sources=sources), "--fetch-only", *arguments)
    assert result["success"] and result["pipelines"] == []
    folder = cli.store / "sources" / "org.osbuild.files"
    assert (set(os.listdir(folder)) if wanted else set()) == {sums[number] for number in wanted}
    assert os.listdir(cli.store / "objects") == [] if wanted else True


def test_a_mistyped_export_is_not_fetched_for(cli: Cli) -> None:
    done = cli.run("build", cli.manifest(), "--fetch-only", "--export", "tre", "-o", "out")
    assert done.returncode == 1
    assert "did you mean 'tree'?" in done.stderr
    assert sorted(os.listdir(cli.directory)) == ["m.json"]


@pytest.mark.root
def test_debug_tells_what_is_run_and_for_how_long(cli: Cli) -> None:
    environment = {**cli.environment, "SECRET_TOKEN": "hush-hush"}
    pipelines = hello("hush-hush")
    cli.done("build", cli.manifest(pipelines), "--debug=debug.log", env=environment)
    log = (cli.directory / "debug.log").read_text()
    assert (cli.directory / "debug.log").stat().st_mode & 0o077 == 0
    assert re.search(r"^\[ +\d+\.\d{3}\] osbuild-core \d", log)
    started = re.findall(r"program (\d+): (\S+)", log)
    ended = re.findall(r"program (\d+) ended after \d+\.\d{3} s with status 0", log)
    # A runner, three stages, and the input of the last one.
    assert len(started) == 5 and {number for number, _ in started} == set(ended)
    assert sum(program.endswith("/bwrap") for _, program in started) == 4
    assert any(program.endswith("/inputs/org.osbuild.tree") for _, program in started)
    assert re.search(r"stage tree\[1\] org.osbuild.hostname \([0-9a-f]{64}\)", log)
    assert re.search(r"stage tree\[1\] ended after \d+\.\d{3} s: done", log)
    # Neither options nor the environment.
    assert "hush-hush" not in log


def test_debug_shows_where_an_error_comes_from(cli: Cli) -> None:
    for words in (
        ("--debug", "inspect", "none"),
        ("inspect", "none", "--debug"),
        ("diff", "none:a", "none:b", "--debug"),
    ):
        done = cli.run(*words)
        assert "Traceback (most recent call last)" in done.stderr
        assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in cli.run("inspect", "none").stderr
    done = cli.run("inspect", "none", "--debug=no/such/place")
    assert (done.returncode, done.stderr) == (
        1,
        "error: cannot write no/such/place: No such file or directory\n",
    )


def commands(group: click.Group, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command that does something itself."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*above, name))
        else:
            yield (*above, name)


def test_every_command_is_listed() -> None:
    listed = {words[: len(found)] for found in commands(group) for words in COMMANDS}
    # These need a cloud, a cluster or a service; their own tests have one.
    apart = {"ami", "compose", "job", "serve", "worker"}
    assert [found for found in commands(group) if found[0] not in apart and found not in listed] == []


@pytest.mark.root
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_speaks_json(cli: Cli, words: tuple[str, ...]) -> None:
    cli.manifest()
    (cli.directory / "t.yaml").write_text('version: "2"\npipelines: []\n')
    if words[0] in ("store", "diff"):
        cli.done("build", "m.json", "--quiet")
    done = cli.run(*words, "--json")
    assert done.returncode == COMMANDS[words], done.stderr
    json.loads(done.stdout)
    # So are errors, of the command line too.
    for wrong in (("--bogus",), ("a", "b", "c", "d")):
        done = cli.run(*words, *wrong, "--json")
        assert done.returncode == 2
        assert json.loads(done.stdout)["errors"][0]["code"] == "usage.command-line"


def test_a_resolved_file_is_named(cli: Cli) -> None:
    (cli.directory / "t.yaml").write_text('version: "2"\npipelines: []\n')
    assert cli.json("resolve", "t.yaml", "-o", "m.json") == {"success": True, "output": "m.json"}
    assert json.loads((cli.directory / "m.json").read_text())["version"] == "2"
    done = cli.run("resolve", "t.yaml", "-o", "m.json")
    assert (done.stdout, done.stderr) == ("", "m.json: 0 pipelines, 0 stages\n")


VARIABLES = """
variables:
  suite: bookworm
  size: {default: 4294967296, description: bytes}
  key: {required: true, description: "public key"}
  password: {default: hunter2, secret: true}
  hosts: {default: [a, "${suite}"]}
  "none": {default: null}
$include: more.yaml
pipelines: [{name: a, stages: [{type: org.osbuild.noop}]}]
"""


def test_variables_of_a_template_are_listed(cli: Cli) -> None:
    (cli.directory / "t.yaml").write_text(VARIABLES)
    (cli.directory / "more.yaml").write_text("variables: {suite: other, extra: 0.5}\n")
    listed = {one.pop("name"): one for one in cli.json("resolve", "t.yaml", "--variables")}
    assert list(listed) == sorted(listed)
    assert listed == {
        "extra": {"type": "number", "default": 0.5, "description": ""},
        "hosts": {"type": "list", "default": ["a", "${suite}"], "description": ""},
        "key": {"type": "string", "required": True, "description": "public key"},
        "none": {"type": "string", "default": None, "description": ""},
        "password": {"type": "string", "secret": True, "description": ""},
        "size": {"type": "integer", "default": 4294967296, "description": "bytes"},
        "suite": {"type": "string", "default": "bookworm", "description": ""},
    }
    done = cli.run("resolve", "t.yaml", "--variables")
    assert (done.returncode, done.stderr) == (0, "")
    assert "hunter2" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["NAME", "TYPE", "DEFAULT", "DESCRIPTION"]
    assert lines[3].split() == ["key", "string", "(required)", "public", "key"]
    assert len(lines) == 8
    (cli.directory / "u.yaml").write_text(
        'variables: {a: {default: "1\\n2", description: "x\\n y"}}\npipelines: []\n'
    )
    done = cli.run("resolve", "u.yaml", "--variables")
    assert done.stdout.splitlines()[1].split() == ["a", "string", '"1\\n2"', "x", "y"]
    done = cli.run("resolve", "t.yaml", "-D", "key=k", "-o", "m.json")
    assert done.stderr == "m.json: 1 pipeline, 1 stage\n"
