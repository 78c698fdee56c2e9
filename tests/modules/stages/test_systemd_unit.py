import shutil
import subprocess
from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse

UNIT = {"unit": "nm-cloud-setup.service", "dropin": "10-ec2.conf"}
VARIABLES = [{"key": "PLAIN", "value": "1"}, {"key": "QUOTED", "value": 'a "b" \\c'}]


def test_a_service(tree: Path) -> None:
    config = {
        "Unit": {"ConditionPathExists": "!/etc/off"},
        "Service": {"Environment": "NM_CLOUD_SETUP_EC2=yes"},
    }
    apply("systemd.unit", tree, {**UNIT, "config": config})
    path = tree / "usr/lib/systemd/system/nm-cloud-setup.service.d/10-ec2.conf"
    assert path.read_text() == (
        "[Unit]\nConditionPathExists=!/etc/off\n\n[Service]\nEnvironment=NM_CLOUD_SETUP_EC2=yes\n"
    )
    assert (mode_of(path), mode_of(path.parent), mode_of(tree / "usr")) == (0o644, 0o755, 0o755)


def test_a_unit_of_users(tree: Path) -> None:
    options = {
        "unit": "boot@.timer",
        "dropin": "x.conf",
        "unit-type": "global",
        "config": {"Unit": {"ConditionPathExists": "/a"}},
    }
    apply("systemd.unit", tree, options)
    assert (tree / "usr/lib/systemd/user/boot@.timer.d/x.conf").is_file()


def test_variables_with_blanks_and_quotes(tree: Path) -> None:
    apply("systemd.unit", tree, {**UNIT, "config": {"Service": {"Environment": VARIABLES}}})
    path = tree / "usr/lib/systemd/system/nm-cloud-setup.service.d/10-ec2.conf"
    assert path.read_text() == ('[Service]\nEnvironment="PLAIN=1"\nEnvironment="QUOTED=a \\"b\\" \\\\c"\n')


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_it(tree: Path) -> None:
    config = {"Unit": {"ConditionPathExists": "/a"}, "Service": {"Environment": VARIABLES}}
    apply("systemd.unit", tree, {"unit": "hello.service", "dropin": "x.conf", "config": config})
    unit = tree / "usr/lib/systemd/system/hello.service"
    unit.write_text("[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/true\n")

    def verify() -> str:
        command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
        return subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        ).stdout

    assert "hello.service" not in verify()
    # The drop-in is read at all.
    with (tree / "usr/lib/systemd/system/hello.service.d/x.conf").open("a") as file:
        file.write("Nonsense=1\n")
    assert "Nonsense" in verify()


@pytest.mark.parametrize("value", ["A=1\nExecStart=/evil", "A=1\rExecStart=/evil", "A=1\\"])
def test_a_value_cannot_bring_more_settings(tree: Path, value: str) -> None:
    log = refuse("systemd.unit", tree, {**UNIT, "config": {"Service": {"Environment": value}}})
    assert "one line" in log or "next line" in log
    assert list(tree.iterdir()) == []


@pytest.mark.parametrize(
    "variable", [{"key": 'A" "B', "value": "1"}, {"value": "1"}, {"key": "A", "value": "1\n"}]
)
def test_variables_that_cannot_be(tree: Path, variable: dict[str, str]) -> None:
    refuse("systemd.unit", tree, {**UNIT, "config": {"Service": {"Environment": [variable]}}})
    assert list(tree.iterdir()) == []


@pytest.mark.parametrize(
    "change", [{"unit": "../a.service"}, {"dropin": "a.conf\n"}, {"dropin": "../a.conf"}]
)
def test_names_that_are_none(tree: Path, change: dict[str, str]) -> None:
    assert "not the name of a file" in refuse("systemd.unit", tree, {**UNIT, **change, "config": {}})
    assert list(tree.iterdir()) == []
