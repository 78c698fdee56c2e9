from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Sdk = Callable[[str], Any]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree/boot/loader/entries"
    folder.mkdir(parents=True)
    for name in ("b.conf", "a.conf", ".c.conf", "d.txt"):
        (folder / name).write_text("one\ntwo")
    return tmp_path / "tree"


def test_entries(sdk: Sdk, tree: Path) -> None:
    find = sdk("util.bootentries").find
    assert find(str(tree), "/boot") == ["/boot/loader/entries/a.conf", "/boot/loader/entries/b.conf"]
    assert find(str(tree / "boot"), "/") == ["/loader/entries/a.conf", "/loader/entries/b.conf"]
    assert find(str(tree), "/missing") == []


def test_lines_are_rewritten(sdk: Sdk, tree: Path) -> None:
    bootentries = sdk("util.bootentries")
    bootentries.rewrite(str(tree), "/boot/loader/entries/a.conf", lambda lines: [*lines, "three"])
    assert (tree / "boot/loader/entries/a.conf").read_text() == "one\ntwo\nthree\n"


def test_links_do_not_lead_out(sdk: Sdk, tree: Path, tmp_path: Path) -> None:
    bootentries = sdk("util.bootentries")
    outside = tmp_path / "outside/entries"
    outside.mkdir(parents=True)
    (outside / "x.conf").write_text("theirs")
    (tree / "efi").mkdir()
    (tree / "efi/loader").symlink_to(tmp_path / "outside")
    assert bootentries.find(str(tree), "/efi") == []
