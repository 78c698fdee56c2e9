"""What a shell offers after a Tab."""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.integration.engine.conftest import eventually

from .conftest import OSBUILD_CORE, Cli

# compopt works only while bash itself is completing.
BASH = """
source <(osbuild-core completion bash)
compopt() { local IFS=' '; printf 'compopt %s\\n' "$*"; }
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_osbuild_core_completion "$1"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def environment(cli: Cli) -> dict[str, str]:
    """Return an environment in which shells find the program."""
    return {**cli.environment, "PATH": f"{OSBUILD_CORE.parent}:{os.environ['PATH']}"}


def offered(cli: Cli, *words: str) -> list[str]:
    """Return what bash offers for the last of ``words``."""
    command = ["bash", "-c", BASH, "bash", "osbuild-core", *words]
    done = subprocess.run(command, cwd=cli.directory, env=environment(cli), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("b",), ["build"]),
        (("store", ""), ["gc", "info", "ls", "verify"]),
        (("build", "--chec"), ["--checkpoint"]),
        (("plan", "m"), ["compopt -o default", ""]),
        (("build", "m.json", "--export", ""), ["tree", "archive"]),
        (("build", "--export", "tree", "m.json", "-e", "a"), ["archive"]),
        (("graph", "v1.json", "-e", ""), ["tree", "assembler"]),
        (("build", "-", "-e", ""), [""]),
        (("build", "missing.json", "-e", ""), [""]),
        (("build", "text.json", "-e", ""), [""]),
        (("modules", "show", "mkfs.e"), ["mkfs.ext4"]),
        (("modules", "show", "stages/org.osbuild.chm"), ["stages/org.osbuild.chmod"]),
        (("modules", "show", "--libdir", "missing", "ch"), [""]),
        (("modules", "list", "--kind", "st"), ["stages"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
        (("nonsense", "pl"), ["plan"]),
    ],
    ids=str,
)
def test_bash(cli: Cli, words: tuple[str, ...], wanted: list[str]) -> None:
    cli.manifest()
    (cli.directory / "v1.json").write_text('{"pipeline": {"assembler": {"name": "org.osbuild.noop"}}}')
    (cli.directory / "text.json").write_text('["no manifest"]')
    assert offered(cli, *words) == wanted


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_script_is_one_that_its_shell_reads(cli: Cli, shell: str) -> None:
    script: Path = cli.directory / "script"
    script.write_text(cli.done("completion", shell))
    assert f"_OSBUILD_CORE_COMPLETE={shell}_complete" in script.read_text()
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([program, "-n", str(script)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def need(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")


WORDS = [
    ("sto", "store"),
    ("build m.json --export ar", "archive"),
    ("plan m.j", "m.json"),
    ("modules show mkfs.e", "mkfs.ext4"),
]


@pytest.mark.parametrize(("typed", "wanted"), WORDS)
def test_fish(cli: Cli, typed: str, wanted: str) -> None:
    need("fish")
    cli.manifest()
    code = f'osbuild-core completion fish | source; complete -C "osbuild-core {typed}"'
    done = subprocess.run(
        ["fish", "--no-config", "-c", code],
        cwd=cli.directory,
        env=environment(cli),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [wanted]


def test_zsh(cli: Cli) -> None:
    """Typed into a terminal: zsh completes nowhere else."""
    need("zsh")
    cli.manifest()
    near, far = pty.openpty()
    process = subprocess.Popen(
        ["zsh", "-f", "-i"],
        cwd=cli.directory,
        env={**environment(cli), "TERM": "dumb", "PS1": "", "ZDOTDIR": str(cli.directory)},
        stdin=far,
        stdout=far,
        stderr=far,
        start_new_session=True,
    )
    os.close(far)
    os.set_blocking(near, False)
    shown = b""

    def shows(text: str) -> bool:
        nonlocal shown
        with contextlib.suppress(BlockingIOError):
            shown += os.read(near, 65536)
        return text.encode() in shown

    try:
        setup = (
            "autoload -Uz compinit; compinit -u -D; source <(osbuild-core completion zsh); print is''ready\n"
        )
        os.write(near, setup.encode())
        assert eventually(lambda: shows("isready")), shown
        for typed, wanted in WORDS:
            line = f"{typed.rpartition(' ')[0]} {wanted} ".lstrip()
            shown = b""
            os.write(near, f"osbuild-core {typed}\t".encode())
            assert eventually(partial(shows, line)), shown
            # Ctrl-U: the line is empty again.
            os.write(near, b"\x15")
    finally:
        process.kill()
        process.wait()
        os.close(near)
