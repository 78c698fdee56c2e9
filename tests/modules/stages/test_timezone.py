import os
from pathlib import Path

import pytest

from .harness import apply, refuse


@pytest.fixture
def zones(tree: Path) -> Path:
    (tree / "etc").mkdir()
    folder = tree / "usr/share/zoneinfo"
    (folder / "Europe").mkdir(parents=True)
    (folder / "Europe/Berlin").touch()
    (folder / "Etc").mkdir()
    (folder / "Etc/GMT+1").touch()
    # As Debian has it: an absolute link.
    (folder / "localtime").symlink_to("/etc/localtime")
    return tree


def test_the_zone_is_linked(zones: Path) -> None:
    (zones / "etc/localtime").symlink_to("/usr/share/zoneinfo/Etc/UTC")
    apply("timezone", zones, {"zone": "Europe/Berlin"})
    assert os.readlink(zones / "etc/localtime") == "../usr/share/zoneinfo/Europe/Berlin"
    assert not (zones / "etc/timezone").exists()


def test_debian_has_the_name_in_a_file(zones: Path) -> None:
    (zones / "etc/debian_version").touch()
    apply("timezone", zones, {"zone": "Etc/GMT+1"})
    assert (zones / "etc/timezone").read_text() == "Etc/GMT+1\n"


def test_utc_needs_no_file(tree: Path) -> None:
    apply("timezone", tree, {"zone": "UTC"})
    assert os.readlink(tree / "etc/localtime") == "../usr/share/zoneinfo/UTC"


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "Europe"])
def test_a_zone_that_is_not_in_the_tree(zones: Path, zone: str) -> None:
    assert "is not in the tree" in refuse("timezone", zones, {"zone": zone})
    assert not (zones / "etc/localtime").is_symlink()


@pytest.mark.parametrize("zone", ["", "../../etc/passwd", "/etc/passwd", "Europe/", "UTC\n"])
def test_what_cannot_be_a_zone(zones: Path, zone: str) -> None:
    assert "not a time zone" in refuse("timezone", zones, {"zone": zone})
