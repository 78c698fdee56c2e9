import shutil
import subprocess
from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse

SERVICE = {
    "Unit": {"Description": "Say hello", "DefaultDependencies": False, "After": ["a.target", "b.target"]},
    "Service": {
        "Type": "oneshot",
        "RemainAfterExit": True,
        "ExecStart": ["/bin/echo one", "/bin/echo two"],
        "Environment": [{"key": "PLAIN", "value": "1"}, {"key": "QUOTED", "value": 'a "b" \\c'}],
    },
    "Install": {"WantedBy": ["multi-user.target"]},
}
TEXT = """\
[Unit]
Description=Say hello
DefaultDependencies=False
After=a.target
After=b.target

[Service]
Type=oneshot
RemainAfterExit=True
ExecStart=/bin/echo one
ExecStart=/bin/echo two
Environment="PLAIN=1"
Environment="QUOTED=a \\"b\\" \\\\c"

[Install]
WantedBy=multi-user.target

"""


@pytest.mark.parametrize(
    ("where", "folder"),
    [
        ({}, "usr/lib/systemd/system"),
        ({"unit-path": "etc"}, "etc/systemd/system"),
        ({"unit-type": "global"}, "usr/lib/systemd/user"),
        ({"unit-type": "global", "unit-path": "etc"}, "etc/systemd/user"),
    ],
)
def test_a_service_in_each_place(tree: Path, where: dict[str, str], folder: str) -> None:
    apply("systemd.unit.create", tree, {"filename": "hello.service", "config": SERVICE, **where})
    assert (tree / folder / "hello.service").read_text() == TEXT
    assert mode_of(tree / folder / "hello.service") == 0o644


@pytest.mark.parametrize(
    ("filename", "config"),
    [
        ("srv.mount", {"Mount": {"What": "/dev/vdb", "Where": "/srv", "Type": "ext4"}}),
        ("app.socket", {"Socket": {"ListenStream": "/run/app", "Accept": False}}),
        ("dev-vdc.swap", {"Swap": {"What": "/dev/vdc", "Priority": 3}}),
    ],
)
def test_other_kinds(tree: Path, filename: str, config: dict[str, dict[str, object]]) -> None:
    apply("systemd.unit.create", tree, {"filename": filename, "config": config})
    text = (tree / "usr/lib/systemd/system" / filename).read_text()
    for section, settings in config.items():
        assert f"[{section}]\n" in text
        for key, value in settings.items():
            assert f"{key}={value}\n" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_it(tree: Path) -> None:
    config = {**SERVICE, "Unit": {"Description": "Say hello", "DefaultDependencies": False}}
    apply("systemd.unit.create", tree, {"filename": "hello.service", "config": config})
    unit = tree / "usr/lib/systemd/system/hello.service"
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert "hello.service" not in result.stdout


def test_the_section_has_to_fit_the_name(tree: Path) -> None:
    log = refuse("systemd.unit.create", tree, {"filename": "hello.socket", "config": SERVICE})
    assert "needs a section Socket" in log


def test_a_name_that_no_file_can_have(tree: Path) -> None:
    log = refuse("systemd.unit.create", tree, {"filename": "x" * 250 + ".service", "config": SERVICE})
    assert "longer than 255" in log


def test_a_value_cannot_bring_more_settings(tree: Path) -> None:
    config = {**SERVICE, "Unit": {"Description": "one\nRequires=evil.service"}}
    log = refuse("systemd.unit.create", tree, {"filename": "hello.service", "config": config})
    assert "more than one line" in log
