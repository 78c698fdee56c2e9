import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse

FOLDER = "usr/lib/systemd/system"
UNIT = f"{FOLDER}/osbuild-first-boot.service"
LINK = f"{FOLDER}/default.target.wants/osbuild-first-boot.service"
FLAG = "etc/osbuild-first-boot"


def lines_of(tree: Path) -> list[str]:
    return (tree / UNIT).read_text().splitlines()


def test_the_flag_goes_before_the_commands_run(tree: Path) -> None:
    apply("first-boot", tree, {"commands": ["/bin/echo one", "/bin/sh -c 'echo two'"]})
    lines = lines_of(tree)
    assert [line for line in lines if line.startswith("ExecStart=")] == [
        "ExecStart=/bin/rm /etc/osbuild-first-boot",
        "ExecStart=/bin/echo one",
        "ExecStart=/bin/sh -c 'echo two'",
    ]
    assert "ConditionPathExists=/etc/osbuild-first-boot" in lines
    assert not any("network" in line for line in lines)
    assert (tree / FLAG).read_text() == ""
    assert (tree / LINK).resolve() == tree / UNIT
    assert not os.readlink(tree / LINK).startswith("/")
    assert mode_of(tree / UNIT) == 0o644


def test_waiting_for_the_network(tree: Path) -> None:
    apply("first-boot", tree, {"commands": ["/bin/true"], "wait_for_network": True})
    assert {"Wants=network-online.target", "After=network-online.target"} <= set(lines_of(tree))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_it(tree: Path) -> None:
    apply("first-boot", tree, {"commands": ["/bin/true"], "wait_for_network": True})
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(tree / UNIT)]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert "osbuild-first-boot" not in result.stdout


@pytest.mark.parametrize("command", ["/bin/a\nUser=x", "/bin/a \\", "", " "])
def test_commands_that_cannot_be(tree: Path, command: str) -> None:
    refuse("first-boot", tree, {"commands": ["/bin/true", command]})
    assert list(tree.iterdir()) == []
