"""What a shell offers after a Tab."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

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


def offered(cli: Cli, *words: str) -> list[str]:
    """Return what bash offers for the last of ``words``."""
    environment = {**cli.environment, "PATH": f"{OSBUILD_CORE.parent}:{os.environ['PATH']}"}
    command = ["bash", "-c", BASH, "bash", "osbuild-core", *words]
    done = subprocess.run(command, cwd=cli.directory, env=environment, capture_output=True, text=True)
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
