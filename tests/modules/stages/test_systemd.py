import os
from pathlib import Path

import pytest

from .harness import apply, as_root, debian_tree, refuse

pytestmark = pytest.mark.skipif(not Path("/usr/bin/systemctl").exists(), reason="systemctl is not installed")

UNIT = "[Unit]\nDescription=Test\n[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"


@pytest.fixture
def units(tree: Path) -> Path:
    folder = tree / "usr/lib/systemd/system"
    folder.mkdir(parents=True)
    for name in ("one.service", "two.service", "get@.service"):
        (folder / name).write_text(UNIT)
    for name in ("multi-user.target", "graphical.target"):
        (folder / name).write_text("[Unit]\nDescription=Target\nAllowIsolate=yes\n")
    return tree


def wanted(tree: Path) -> list[str]:
    folder = tree / "etc/systemd/system/multi-user.target.wants"
    return sorted(os.listdir(folder)) if folder.exists() else []


def test_enable_and_disable(units: Path) -> None:
    apply("systemd", units, {"enabled_services": ["one.service", "two.service", "get@tty1.service"]})
    assert wanted(units) == ["get@tty1.service", "one.service", "two.service"]
    link = os.readlink(units / "etc/systemd/system/multi-user.target.wants/one.service")
    assert link == "/lib/systemd/system/one.service" or link == "/usr/lib/systemd/system/one.service"
    apply("systemd", units, {"disabled_services": ["two.service"], "enabled_services": ["two.service"]})
    assert wanted(units) == ["get@tty1.service", "one.service"]


def test_mask(units: Path) -> None:
    apply("systemd", units, {"masked_services": ["one.service"], "masked_generators": ["a-generator"]})
    assert os.readlink(units / "etc/systemd/system/one.service") == "/dev/null"
    assert os.readlink(units / "etc/systemd/system-generators/a-generator") == "/dev/null"


def test_the_default_target(units: Path) -> None:
    apply("systemd", units, {"default_target": "graphical.target"})
    assert os.readlink(units / "etc/systemd/system/default.target").endswith("/graphical.target")


def test_an_unknown_unit_fails(units: Path) -> None:
    assert "missing.service" in refuse("systemd", units, {"enabled_services": ["missing.service"]})


def test_a_generator_is_a_file_name(units: Path) -> None:
    assert "without its directory" in refuse("systemd", units, {"masked_generators": ["../../x"]})


def test_nothing_asked_for(tree: Path) -> None:
    apply("systemd", tree, {})
    assert list(tree.iterdir()) == []


@pytest.mark.root
@as_root
def test_a_debian_unit_that_has_an_init_script_too(tree: Path) -> None:
    debian_tree(tree)
    script = tree / "etc/init.d/one"
    script.parent.mkdir()
    header = "### BEGIN INIT INFO\n# Provides: one\n# Required-Start:\n# Required-Stop:\n"
    script.write_text(
        f"#!/bin/sh\n{header}# Default-Start: 2 3 4 5\n# Default-Stop: 0 1 6\n### END INIT INFO\n"
    )
    script.chmod(0o755)
    (tree / "etc/systemd/system").mkdir(parents=True)
    (tree / "etc/systemd/system/one.service").write_text(UNIT)
    apply("systemd", tree, {"enabled_services": ["one.service"]}, host_usr=True)
    assert wanted(tree) == ["one.service"]
    assert [name for name in os.listdir(tree / "etc/rc2.d") if name.startswith("S")]
