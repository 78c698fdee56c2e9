import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse

UNIT = "etc/systemd/system/osbuild-test.service"
LINK = "etc/systemd/system/multi-user.target.wants/osbuild-test.service"


def test_unit_and_link(tree: Path) -> None:
    apply("test", tree, {"script": "/usr/bin/check"})
    text = (tree / UNIT).read_text()
    assert "\nExecStart=/usr/bin/check\n" in text
    assert "\nStandardOutput=file:/dev/vport0p1\n" in text
    assert os.readlink(tree / LINK) == "/" + UNIT
    assert mode_of(tree / UNIT) == 0o644
    files = sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if not path.is_dir())
    assert files == sorted([UNIT, LINK])


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="systemctl is not installed")
def test_systemd_understands_it(tree: Path) -> None:
    apply("test", tree, {"script": "/bin/true"})
    command = ["systemctl", f"--root={tree}", "is-enabled", "osbuild-test.service"]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert result.stdout == "enabled\n"
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(tree / UNIT)]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert "osbuild-test" not in result.stdout


@pytest.mark.parametrize("script", ["check", "/check\nUser=nobody", "/check\\", ""])
def test_what_is_no_path(tree: Path, script: str) -> None:
    refuse("test", tree, {"script": script})
    assert list(tree.iterdir()) == []
