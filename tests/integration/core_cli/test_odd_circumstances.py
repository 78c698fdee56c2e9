"""Whatever the circumstances: a line that says what is wrong, never a traceback."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import OSBUILD_CORE, Cli

READERS = ("inspect", "plan", "graph", "build")

COMMANDS = (
    ("inspect", "m.json"),
    ("plan", "m.json"),
    ("graph", "m.json"),
    ("modules", "list"),
    ("modules", "show", "sfdisk"),
    ("completion", "bash"),
    ("build", "--help"),
)


def file(name: str, content: bytes) -> Callable[[Cli], str]:
    def make(cli: Cli) -> str:
        (cli.directory / name).write_bytes(content)
        return name

    return make


def directory(cli: Cli) -> str:
    (cli.directory / "directory").mkdir()
    return "directory"


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize(
    ("make", "status", "says"),
    [
        (lambda _: "missing", 1, "cannot read missing: No such file or directory"),
        (lambda _: "", 1, "cannot read a file without a name"),
        (directory, 1, "cannot read directory: Is a directory"),
        (file("empty.json", b""), 2, "empty.json is not JSON: it is empty"),
        (file("bytes.json", b"\xff\xfe\x00"), 2, "is not UTF-8"),
        (file("comma.json", b'{"version": "2",}'), 2, "a comma after the last item: line 1 column 17"),
        (lambda _: "-", 2, "standard input is not JSON: it is empty"),
        (file("list.json", b"[]"), 2, "is no JSON object"),
        (file("nine.json", b'{"version": "9"}'), 2, "unsupported format version"),
    ],
)
def test_what_is_no_manifest(
    cli: Cli, command: str, make: Callable[[Cli], str], status: int, says: str
) -> None:
    done = cli.run(command, make(cli))
    assert done.returncode == status
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: ")
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("bulid", "m.json"), 2, "Did you mean 'build'?"),
        (("store", "inof"), 2, "Did you mean 'info'?"),
        (("modules", "lsit"), 2, "Did you mean 'list'?"),
        (("qqq",), 2, ", build, completion, "),
        (("plan", "m.json", "--exprot", "tree"), 2, "Did you mean '--export'?"),
        (("plan", "m.json", "--export", "tre"), 1, "did you mean 'tree'?"),
        (("plan",), 2, "Missing argument 'MANIFEST'"),
        (("plan", "m.json", "--store", ""), 2, "it is empty"),
        (("plan", "m.json", "--libdir", ""), 2, "it is empty"),
        (("plan", "m.json", "--libdir", "m.json"), 1, "no library directory"),
        (("plan", "m.json", "--store", "m.json"), 1, "is not a directory"),
        (("store", "ls", "--store", "/dev/null"), 1, "is not a directory"),
        (("store", "gc", "--max-size", "big"), 2, "like 500MB"),
        (("store", "gc", "--older-than", "yesterday"), 2, "like 30m"),
        (("graph", "m.json", "-o", "missing/graph.dot"), 1, "cannot write missing/graph.dot"),
        (("graph", "m.json", "-o", "/"), 1, "cannot write /"),
        (("graph", "m.json", "-o", "graph.png"), 1, "--format dot | dot -Tpng"),
        (("completion", "tcsh"), 2, "'tcsh' is not one of"),
        (("resolve", "missing.yaml"), 1, "No such file or directory (name a file with a template)"),
        (("resolve", "/dev/null"), 1, "has to be a mapping, and it is empty (it has pipelines:"),
        (("resolve", "m.json", "-D", "hostname"), 2, "'hostname' is not like hostname=web"),
        (("resolve", "m.json", "--snapshot", "today"), 1, "(give one like https://"),
    ],
    ids=str,
)
def test_slips(cli: Cli, words: tuple[str, ...], status: int, says: str) -> None:
    cli.manifest()
    done = cli.run(*words)
    assert done.returncode == status
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert os.listdir(cli.directory) == ["m.json"]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_readers_that_go_and_streams_that_are_closed(cli: Cli, words: tuple[str, ...]) -> None:
    cli.manifest()

    def shell(script: str) -> tuple[int, str]:
        command = ["bash", "-c", f'set -o pipefail; "$@" {script}', "bash", str(OSBUILD_CORE), *words]
        done = subprocess.run(command, cwd=cli.directory, capture_output=True, text=True, env=cli.environment)
        return done.returncode, done.stderr

    # What is small was read before the reader went.
    status, said = shell("| true")
    assert status in (0, 141) and said == ""
    for closed in (">&-", "<&-", "<&- >&-"):
        assert shell(closed) == (0, "")
    assert shell("2>&-")[0] == 0
    status, said = shell(">/dev/full")
    assert (status, said) == (1, "error: No space left on device, writing the output\n")


def test_a_reader_of_much_output_that_has_gone_is_no_failure_of_ours(cli: Cli) -> None:
    many = [
        {"name": f"pipeline-{number}", "stages": [{"type": "org.osbuild.noop"}]} for number in range(3000)
    ]
    manifest = cli.manifest(many)
    for command in ("inspect", "plan", "graph"):
        words = [str(OSBUILD_CORE), command, manifest]
        program = subprocess.Popen(
            words, cwd=cli.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cli.environment
        )
        assert program.stdout is not None and program.stderr is not None
        program.stdout.read(1)
        program.stdout.close()
        assert (program.stderr.read(), program.wait(60)) == (b"", 141)
        program.stderr.close()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_home_no_utf_8_and_a_narrow_terminal(cli: Cli, words: tuple[str, ...]) -> None:
    cli.manifest([{"name": "Größe 漢", "stages": [{"type": "org.osbuild.noop"}]}])
    bare: dict[str, Any] = {
        "PATH": os.environ["PATH"],
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "COLUMNS": "40",
    }
    done = cli.run(*words, env=bare)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_a_current_directory_that_has_gone(cli: Cli) -> None:
    script = f'mkdir gone && cd gone && rmdir ../gone && "{OSBUILD_CORE}" plan - <../m.json'
    cli.manifest()
    done = subprocess.run(["bash", "-c", script], cwd=cli.directory, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: No such file or directory (is the current directory still there?)\n"


@pytest.fixture
def open_cli() -> Iterator[Cli]:
    """A directory that other users may look into; those of tests are closed to them."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield Cli(Path(directory))


@pytest.mark.root
def test_what_may_not_be_read_or_written(open_cli: Cli) -> None:
    manifest = open_cli.directory / open_cli.manifest()
    open_cli.done("build", "m.json", "--quiet")
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(OSBUILD_CORE)]

    def run(*words: str) -> tuple[int, str]:
        done = subprocess.run([*nobody, *words], cwd=open_cli.directory, capture_output=True, text=True)
        return done.returncode, done.stderr

    if run("--version")[0] != 0:
        pytest.skip("the program is closed to other users")
    assert run("graph", "m.json", "--no-state") == (0, "")
    os.chmod(manifest, 0)
    status, said = run("inspect", "m.json")
    assert status == 1 and said.startswith("error: cannot read m.json: Permission denied (")
    # They may look at a store, and no more.
    assert run("store", "ls") == run("store", "verify") == (0, "")
    for words in (("store", "gc", "--max-size", "0"), ("store", "info")):
        status, said = run(*words)
        assert status == 1 and "Permission denied" in said and len(said.splitlines()) == 1
    assert len(open_cli.objects()) == 4
    status, said = run("modules", "new", "stage/x")
    assert (status, said) == (1, "error: cannot write stages: Permission denied\n")
