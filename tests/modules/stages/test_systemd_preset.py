import shutil
import subprocess
from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse

PRESETS = {
    "presets": [
        {"name": "sshd.service", "state": "enable"},
        {"name": "cups.*", "state": "disable"},
    ]
}


def test_the_file(tree: Path) -> None:
    apply("systemd.preset", tree, PRESETS)
    path = tree / "usr/lib/systemd/system-preset/50-osbuild.preset"
    assert path.read_text() == "enable sshd.service\ndisable cups.*\n"
    assert mode_of(path) == 0o644


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="systemctl is not installed")
def test_systemd_goes_by_it(tree: Path) -> None:
    folder = tree / "usr/lib/systemd/system"
    folder.mkdir(parents=True)
    for name in ("sshd", "cups"):
        text = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"
        (folder / f"{name}.service").write_text(text)
    apply("systemd.preset", tree, PRESETS)
    subprocess.run(["systemctl", f"--root={tree}", "preset-all"], stderr=subprocess.DEVNULL, check=True)
    wants = tree / "etc/systemd/system/multi-user.target.wants"
    assert [path.name for path in wants.iterdir()] == ["sshd.service"]


def test_a_name_cannot_bring_another_line(tree: Path) -> None:
    log = refuse("systemd.preset", tree, {"presets": [{"name": "a\nenable b", "state": "disable"}]})
    assert "has to be one line" in log


def test_no_presets(tree: Path) -> None:
    apply("systemd.preset", tree, {})
    assert list(tree.iterdir()) == []
