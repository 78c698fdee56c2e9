from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("make", "args", "name"),
    [("for_dm_name", ("vg-root",), "dm-vg-root"), ("for_device", (7, 12), "device-7:12")],
)
def test_a_file_stands_for_a_device(
    make: str, args: tuple[Any, ...], name: str, tmp_path: Path, sdk: Callable[[str], Any]
) -> None:
    folder = tmp_path / "locks" / "udev"
    held = getattr(sdk("util.udev").UdevInhibitor, make)(*args, lockdir=str(folder))
    assert held.active
    assert [path.name for path in folder.iterdir()] == [name]
    held.release()
    held.release()
    assert not held.active
    assert list(folder.iterdir()) == []
