from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ENTRY = "title One\noptions root=/dev/sda1 ro\nlinux /vmlinuz\noptions second\n"


@pytest.fixture
def append(sdk: Callable[[str], Any]) -> Any:
    return sdk("util.bls").options_append


def test_arguments_are_appended_to_each_entry(tmp_path: Path, append: Any) -> None:
    boot = tmp_path / "boot [1]"
    entries = boot / "loader/entries"
    entries.mkdir(parents=True)
    for name, text in (("1.conf", ENTRY), ("2.conf", "title Two"), ("3.txt", "options x\n")):
        (entries / name).write_text(text)
    (entries / "1.conf").chmod(0o600)
    append(str(boot), ["quiet", "console=ttyS0"])
    assert (entries / "1.conf").read_text() == ENTRY.replace(" ro\n", " ro quiet console=ttyS0\n")
    assert (entries / "2.conf").read_text() == "title Two\noptions quiet console=ttyS0\n"
    assert (entries / "3.txt").read_text() == "options x\n"
    assert (entries / "1.conf").stat().st_mode & 0o777 == 0o600
    assert len(list(entries.iterdir())) == 3


def test_a_tree_without_entries_is_an_error(tmp_path: Path, append: Any) -> None:
    with pytest.raises(RuntimeError, match="no boot entry"):
        append(str(tmp_path), ["quiet"])
