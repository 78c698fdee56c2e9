from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Sdk = Callable[[str], Any]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "tree"
    path.mkdir()
    return path


def test_a_file_in_a_new_folder(sdk: Sdk, tree: Path) -> None:
    sdk("util.dropin").write(str(tree), "/usr/lib/x.d", "a.conf", "text", 0o600)
    path = tree / "usr/lib/x.d/a.conf"
    assert (path.read_text(), path.stat().st_mode & 0o7777) == ("text", 0o600)
    assert path.parent.stat().st_mode & 0o7777 == 0o755


def test_a_file_that_is_there_keeps_its_mode(sdk: Sdk, tree: Path) -> None:
    (tree / "a.conf").write_text("old")
    (tree / "a.conf").chmod(0o640)
    sdk("util.dropin").write(str(tree), "/", "a.conf", "new")
    assert ((tree / "a.conf").read_text(), (tree / "a.conf").stat().st_mode & 0o777) == ("new", 0o640)


def test_a_mask_is_replaced(sdk: Sdk, tree: Path) -> None:
    (tree / "a.conf").symlink_to("/dev/null")
    sdk("util.dropin").write(str(tree), "/", "a.conf", "new")
    assert not (tree / "a.conf").is_symlink()
    assert [path.name for path in tree.iterdir()] == ["a.conf"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\n", "a\rb", "a\0", "ä" * 128])
def test_what_is_no_name(sdk: Sdk, tree: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        sdk("util.dropin").write(str(tree), "/", name, "text")
    assert list(tree.iterdir()) == []


def test_the_longest_name(sdk: Sdk) -> None:
    assert sdk("util.dropin").check_name("a" * 255) == "a" * 255
