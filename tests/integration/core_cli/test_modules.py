"""``osbuild-core modules``: listed, shown, begun."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Cli

KINDS = ("stage", "input", "source", "device", "mount", "assembler", "export")


def test_a_kind_is_listed_by_option_or_argument_singular_or_plural(cli: Cli) -> None:
    names = {m["name"]: m["summary"] for m in cli.json("modules", "list", "--kind", "mounts")["mounts"]}
    assert names["org.osbuild.ext4"] == "An ext4 file system"
    assert cli.json("modules", "list", "mount") == cli.json("modules", "list", "--kind", "mounts")
    assert "org.osbuild.ext4" in cli.done("modules", "list", "mounts")
    done = cli.run("modules", "list", "stagse")
    assert (done.returncode, "there are stages, inputs" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "name", ["stages/org.osbuild.chmod", "stage/chmod", "org.osbuild.chmod", "chmod", "stages/chmod"]
)
def test_a_module_has_several_names(cli: Cli, name: str) -> None:
    assert cli.json("modules", "show", name)["name"] == "org.osbuild.chmod"


def test_what_is_shown(cli: Cli) -> None:
    shown = cli.json("modules", "show", "copy")
    options = {option["path"]: option for option in shown["options"]}
    assert options["paths"]["type"] == "list of object" and options["paths"]["required"]
    assert options["paths[].remove_destination"]["default"] == "false"
    assert shown["capabilities"] == ["CAP_MAC_ADMIN"]
    assert shown["inputs"] == {"any": True, "named": []}
    assert Path(shown["path"]).is_file()
    assert cli.json("modules", "show", "stages/org.osbuild.qemu")["inputs"]["named"][0]["required"]
    choices = {o["path"]: o["choices"] for o in cli.json("modules", "show", "sfdisk")["options"]}
    assert choices["label"] == ["mbr", "dos", "gpt"]
    paths = [o["path"] for o in cli.json("modules", "show", "mount/ext4")["options"]]
    assert {"target", "options.readonly"} <= set(paths)


def test_text_fits_a_narrow_terminal(cli: Cli) -> None:
    text = cli.done("modules", "show", "chmod", env={**cli.environment, "COLUMNS": "40"})
    lines = [line for line in text.splitlines() if not line.startswith("File:")]
    assert max(map(len, lines)) <= 40
    assert "  items.*.mode: string, required" in lines


def test_names_of_several_modules_and_of_none(cli: Cli) -> None:
    done = cli.run("modules", "show", "noop")
    assert done.returncode == 1
    assert "take one of stages/org.osbuild.noop, inputs/org.osbuild.noop" in done.stderr
    done = cli.run("modules", "show", "chmood", "--json")
    assert "did you mean stages/org.osbuild.chmod?" in done.stderr
    assert json.loads(done.stdout)["errors"][0]["code"] == "usage.unknown-module"
    assert "is no kind of modules" in cli.run("modules", "show", "stagse/chmod").stderr


def test_a_broken_module_does_not_hide_the_others(cli: Cli) -> None:
    folder = cli.directory / "stages"
    folder.mkdir()
    for name, mode in (("org.test.good", 0o755), ("org.test.locked", 0o644), ("org.test.mute", 0o755)):
        (folder / name).touch(mode)
        (folder / f"{name}.meta.json").write_text('{"summary": "Fine"}' if mode == 0o755 else "{}")
    (folder / "org.test.mute.meta.json").write_text("{")
    done = cli.run("modules", "list", "stages", "--libdir", ".", "--json")
    found = {module["name"]: module for module in json.loads(done.stdout)["stages"]}
    assert done.returncode == 1
    assert found["org.test.good"]["summary"] == "Fine"
    assert "cannot be run" in found["org.test.locked"]["error"]
    assert "is not JSON" in found["org.test.mute"]["error"]
    assert "org.osbuild.chmod" in found


@pytest.mark.root
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_module_comes_with_a_test_that_passes(cli: Cli, kind: str) -> None:
    written = cli.json("modules", "new", f"{kind}/com.example.some-{kind}", "--directory", "lib")["files"]
    module, meta, test = (cli.directory / path for path in written)
    assert [path.is_file() for path in (module, meta, test)] == [True] * 3
    assert stat.S_IMODE(module.stat().st_mode) & 0o111 == 0o111
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(test)]
    environment = {**cli.environment, "PYTEST_DEBUG_TEMPROOT": str(cli.directory)}
    done = subprocess.run(command, cwd=cli.directory, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout or "3 passed" in done.stdout
    shown = cli.json("modules", "show", f"{kind}/com.example.some-{kind}", "--libdir", "lib")
    assert shown["summary"] and shown["options"]
    # The test is about the module: it fails with another one.
    module.write_text("#!/usr/bin/python3\nraise SystemExit(3)\n")
    assert subprocess.run(command, cwd=cli.directory, env=environment, capture_output=True).returncode == 1


@pytest.mark.root
def test_a_library_of_one_module_builds_with_those_of_the_program(cli: Cli) -> None:
    cli.done("modules", "new", "stage/com.example.greet", "--directory", "mine")
    cli.done("modules", "new", "stage/com.example.bow", "--directory", "yours")
    etc = {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/etc"}]}}
    greet = {"type": "com.example.greet", "options": {"path": "/etc/greeting"}}
    bow = {"type": "com.example.bow", "options": {"path": "/etc/bow", "text": "deep"}}
    manifest = cli.manifest([{"name": "tree", "stages": [etc, greet, bow]}])
    assert cli.run("inspect", manifest).returncode == 2
    libraries = ("--libdir", "mine", "--libdir", "yours")
    cli.done("inspect", manifest, *libraries)
    cli.done("build", manifest, *libraries, "--export", "tree", "-o", "out")
    assert (cli.directory / "out/tree/etc/greeting").read_text() == "hello\n"
    assert (cli.directory / "out/tree/etc/bow").read_text() == "deep\n"


@pytest.mark.root
def test_the_first_library_that_has_a_module_counts(cli: Cli) -> None:
    cli.done("modules", "new", "stage/org.osbuild.hostname", "--directory", "mine")
    options = {"path": "/file", "text": "mine"}
    manifest = cli.manifest(
        [{"name": "tree", "stages": [{"type": "org.osbuild.hostname", "options": options}]}]
    )
    assert cli.run("inspect", manifest).returncode == 2
    cli.done("build", manifest, "--libdir", "mine", "--export", "tree", "-o", "out")
    assert (cli.directory / "out/tree/file").read_text() == "mine\n"


def test_nothing_is_overwritten_and_nothing_half_written(cli: Cli) -> None:
    test = cli.directory / "lib/tests/test_stage_a_b.py"
    test.parent.mkdir(parents=True)
    test.write_text("mine")
    done = cli.run("modules", "new", "stage/a.b", "--directory", "lib", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["errors"][0]["code"] == "usage.exists"
    assert test.read_text() == "mine"
    assert os.listdir(cli.directory / "lib/stages") == []


@pytest.mark.parametrize(
    "name", ["x", "stage/", "stage/../x", "stage/a/b", "runner/x", "stage/.x", "stage/x.meta.json"]
)
def test_what_cannot_be_a_module(cli: Cli, name: str) -> None:
    done = cli.run("modules", "new", name)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert os.listdir(cli.directory) == []
