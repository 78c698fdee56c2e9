from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TEXT = """# what this is
NAME="Debian GNU/Linux"
ID=debian
VERSION_ID="12.1"

PRETTY_NAME='a "quoted" \\$name'
EMPTY=
"""


@pytest.fixture
def osrelease(sdk: Callable[[str], Any]) -> Any:
    return sdk("util.osrelease")


def test_variables_are_read(tmp_path: Path, osrelease: Any) -> None:
    (tmp_path / "os-release").write_text(TEXT)
    (tmp_path / "other").write_text("ID=other\n")
    paths = [str(tmp_path / name) for name in ("none", "os-release", "other")]
    assert osrelease.parse_files(*paths) == {
        "NAME": "Debian GNU/Linux",
        "ID": "debian",
        "VERSION_ID": "12.1",
        "PRETTY_NAME": 'a "quoted" \\$name',
        "EMPTY": "",
    }
    assert osrelease.describe_os(*paths) == "debian121"
    assert osrelease.describe_os(paths[2]) == "other"


def test_nothing_is_any_linux(osrelease: Any) -> None:
    assert osrelease.parse_files("/no/such/file") == {}
    assert osrelease.describe_os() == "linux"
    assert osrelease.parse_files(*osrelease.DEFAULT_PATHS)["ID"]


@pytest.mark.parametrize("line", ["NAME", "NAME=two words", 'NAME="open', "=value with"])
def test_what_is_no_assignment_is_named(line: str, tmp_path: Path, osrelease: Any) -> None:
    (tmp_path / "os-release").write_text(f"ID=x\n{line}\n")
    with pytest.raises(ValueError, match=r"os-release:2: "):
        osrelease.parse_files(str(tmp_path / "os-release"))
