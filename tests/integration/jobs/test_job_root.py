"""``osbuild-core job run --root``: sessions in a sandbox, on a tree that a manifest built."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.core_cli.conftest import Cli, stage
from tests.integration.jobs.sessions import alive, descendants, wait_for
from tests.integration.jobs.test_job_run import around, frames, once, printed, started, write

pytestmark = pytest.mark.root

PROGRAMS = ("sh", "cat", "sleep", "touch", "ls", "id", "mkdir", "stat")


def system(directory: Path) -> Path:
    """Return an archive of a very small system: a shell and a few programs of this host, with their libraries."""
    root = directory / "root"
    (root / "usr" / "bin").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "opt" / "tools").mkdir(parents=True)
    (root / "etc" / "marker").write_text("of the tree\n")
    (root / "opt" / "tools" / "data").write_text("tool 1\n")
    for name in PROGRAMS:
        source = shutil.which(name)
        assert source is not None
        shutil.copy(os.path.realpath(source), root / "usr" / "bin" / name)
        linked = subprocess.run(["ldd", source], capture_output=True, text=True).stdout
        for word in linked.split():
            if word.startswith("/"):
                # As the libraries of a merged /usr are found.
                target = root / "usr" / word.lstrip("/").removeprefix("usr/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(os.path.realpath(word), target)
    archive = directory / "system.tar"
    subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
    return archive


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    # The store needs a real file system.
    return Cli(tmp_path)


@pytest.fixture
def manifest(cli: Cli) -> str:
    archive = system(cli.directory)
    checksum = "sha256:" + hashlib.sha256(archive.read_bytes()).hexdigest()
    place = cli.store / "sources" / "org.osbuild.files"
    place.mkdir(parents=True)
    shutil.copy(archive, place / checksum)
    (place / checksum).chmod(0o644)
    files = {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [checksum]}
    tree = {"name": "tree", "stages": [stage("untar", inputs={"file": files})]}
    sources = {"org.osbuild.curl": {"items": {checksum: {"url": "http://127.0.0.1:9/system.tar"}}}}
    return cli.manifest(
        [tree, {"name": "empty", "stages": [stage("mkdir", {"paths": [{"path": "/etc"}]})]}], sources=sources
    )


def test_a_job_on_a_tree(cli: Cli, manifest: str) -> None:
    (cli.directory / "in").write_text("input 1\n")
    (cli.directory / "out").mkdir()
    parameters: list[dict[str, Any]] = [
        {"name": "In", "type": "PATH", "objectType": "FILE", "dataFlow": "IN"},
        {"name": "Out", "type": "PATH", "dataFlow": "OUT"},
        {"name": "Hidden", "type": "PATH"},
    ]
    text = (
        "cat /etc/marker /opt/tools/data {{Param.In}} {{Task.File.F}};"
        " cat {{Param.Hidden}} 2>/dev/null || echo hidden 1;"
        " touch {{Param.Out}}/made; touch {{Param.In}} 2>/dev/null || echo readonly 1; echo $A $HOME >here; cat here;"
        " touch /etc/new; touch /usr/new 2>/dev/null || echo readonly 2; ls /etc"
    )
    step = once("A", text)
    step["script"]["embeddedFiles"] = [{"name": "F", "type": "TEXT", "data": "file 1\n"}]
    job = write(
        cli,
        step,
        parameterDefinitions=parameters,
        jobEnvironments=[around("J", "echo openjd_env: A=env", "cat here; ls /etc")],
    )
    values = ["-p", f"In={cli.directory}/in", "-p", f"Out={cli.directory}/out", "-p", "Hidden=/etc/hostname"]
    done = cli.run("job", "run", job, *values, "--root", "tree", "--manifest", manifest, "--output", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [entry["message"] for entry in json.loads(done.stdout)["logs"]]
    expected = [
        "of the tree",
        "tool 1",
        "input 1",
        "file 1",
        "hidden 1",
        "readonly 1",
        "env /root",
        "readonly 2",
    ]
    assert [line for line in lines if line in expected] == [*expected, "env /root"]
    assert lines.count("new") == 2
    assert (cli.directory / "out" / "made").exists()
    # The tree itself is as it was built, and nothing is left of the copy.
    assert not list((cli.store / "tmp").glob("job*"))
    again = cli.run("job", "run", job, *values, "--root", "tree", "--manifest", manifest)
    assert again.returncode == 0
    assert again.stdout.count("\tnew\n") == 2
    assert str(cli.store) not in Path("/proc/self/mountinfo").read_text()


def test_what_is_done_on_one_tree_is_not_done_on_another(cli: Cli, manifest: str) -> None:
    job = write(cli, frames("echo frame {{Task.Param.F}}", "1-2"))
    on_tree = ("--root", "tree", "--manifest", manifest, "--resume")

    def shown(*more: str) -> list[str]:
        done = cli.run("job", "run", job, *more, "--output", "json")
        assert done.returncode == 0, done.stderr
        return printed(json.loads(done.stdout))

    assert shown(*on_tree) == ["frame 1", "frame 2"]
    assert shown(*on_tree) == []
    assert shown("--resume") == ["frame 1", "frame 2"]


def test_notice_reaches_what_is_in_the_sandbox(cli: Cli, manifest: str) -> None:
    action = {
        "command": "sh",
        "args": ["-c", "trap 'echo told 1; exit 0' TERM; echo up; while :; do sleep 0.05; done"],
        "cancelation": {"mode": "NOTIFY_THEN_TERMINATE"},
    }
    job = write(cli, {"name": "A", "script": {"actions": {"onRun": action}}})
    with started(cli, job, "--root", "tree", "--manifest", manifest, "--events", "events") as process:
        below = descendants(process.pid)
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 143
    assert '"text": "told 1"' in (cli.directory / "events").read_text()
    assert not any(alive(pid) for pid in below)
    assert not list((cli.store / "tmp").glob("job*"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--root", "tre"], "the manifest has no pipeline 'tre' (did you mean 'tree'?)"),
        (["--root", "empty"], "the tree has no /usr"),
    ],
)
def test_trees_that_will_not_do(cli: Cli, manifest: str, arguments: list[str], says: str) -> None:
    job = write(cli, once("A", "true"))
    done = cli.run("job", "run", job, "--manifest", manifest, *arguments)
    assert done.returncode == 1
    assert says in done.stderr.splitlines()[-1]
    assert done.stderr.splitlines()[-1].startswith("error: ")


def test_a_path_that_is_not_there(cli: Cli, manifest: str) -> None:
    parameter = {"name": "In", "type": "PATH", "dataFlow": "IN"}
    job = write(cli, once("A", "true"), parameterDefinitions=[parameter])
    done = cli.run("job", "run", job, "-p", "In=/no/where", "--manifest", manifest, "--root", "tree")
    assert (done.returncode, done.stderr) == (
        1,
        "error: In: /no/where is not there to be shown in the sandbox\n",
    )


def test_a_command_that_the_tree_does_not_have(cli: Cli, manifest: str) -> None:
    job = write(cli, {"name": "A", "script": {"actions": {"onRun": {"command": "no-such-command"}}}})
    done = cli.run("job", "run", job, "--manifest", manifest, "--root", "tree")
    assert done.returncode == 1
    assert "no-such-command" in done.stderr.splitlines()[-1]
    assert "it is not there" in done.stderr.splitlines()[-1]


def test_nothing_is_left_of_a_run_in_a_tree_that_is_killed(cli: Cli, manifest: str) -> None:
    job = write(cli, frames("sleep 1000 & echo up; wait", "1-9"))
    with started(cli, job, "--root", "tree", "--manifest", manifest, "--jobs", "2") as process:
        below = descendants(process.pid)
        process.kill()
    wait_for(lambda: not any(alive(pid) for pid in below))
    # Its mounts went with it, and its copy of the tree goes when the store is opened the next time.
    assert str(cli.store) not in Path("/proc/self/mountinfo").read_text()
    assert cli.run("store", "info").returncode == 0
    assert not list((cli.store / "tmp").glob("job*"))
