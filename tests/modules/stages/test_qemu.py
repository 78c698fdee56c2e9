from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .raw import run_raw


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A folder, as the files input gives it, with a raw image of 4 MiB."""
    folder = tmp_path / "image"
    folder.mkdir()
    with (folder / "disk.img").open("wb") as file:
        file.write(b"start" * 10_000)
        file.seek((4 << 20) - 3)
        file.write(b"end")
    return folder


def info(path: Path, kind: str) -> dict[str, Any]:
    command = ["qemu-img", "info", "--output=json", "-f", kind, str(path)]
    shown = subprocess.run(command, capture_output=True, check=True).stdout
    document: dict[str, Any] = json.loads(shown)
    return document


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({"type": "qcow2", "compat": "0.10"}, {"compat": "0.10"}),
        ({"type": "qcow2", "compat": "1.1", "compression": False}, {"compat": "1.1"}),
        ({"type": "qcow2"}, {}),
        ({"type": "vdi"}, {}),
        ({"type": "vhdx"}, {}),
        ({"type": "vmdk"}, {}),
        (
            {"type": "vmdk", "subformat": "streamOptimized", "adapter_type": "lsilogic", "compression": True},
            {"create-type": "streamOptimized"},
        ),
        ({"type": "vmdk", "compat6": True, "subformat": "monolithicFlat"}, {"create-type": "monolithicFlat"}),
        ({"type": "vpc"}, {}),
        ({"type": "vpc", "subformat": "dynamic", "force_size": False}, {}),
    ],
    ids=lambda value: "-".join(str(part) for part in value.values()) or None,
)
def test_formats(tree: Path, image: Path, settings: dict[str, Any], shown: dict[str, str]) -> None:
    ended = run_raw("qemu", tree, {"filename": "disk.out", "format": settings}, files={"image": image})
    assert ended.status == 0, ended.log
    details = info(tree / "disk.out", settings["type"])
    assert shown.items() <= details.get("format-specific", {}).get("data", {}).items()
    # Without its size forced, the old Hyper-V format rounds up; the content is the same.
    command = ["qemu-img", "compare", "-f", "raw", "-F", settings["type"]]
    command += [str(image / "disk.img"), str(tree / "disk.out")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_compression_of_qcow2(tree: Path, image: Path) -> None:
    sizes = []
    for number, compression in enumerate((True, False)):
        settings = {"type": "qcow2", "compression": compression}
        ended = run_raw("qemu", tree, {"filename": f"{number}", "format": settings}, files={"image": image})
        assert ended.status == 0, ended.log
        sizes.append((tree / f"{number}").stat().st_size)
    assert sizes[0] < sizes[1]


def test_the_input_has_to_be_one_file(tree: Path, image: Path) -> None:
    (image / "other.img").write_bytes(b"")
    ended = run_raw("qemu", tree, {"filename": "x", "format": {"type": "vdi"}}, files={"image": image})
    assert ended.status != 0
    assert "has to be one file, it has 2" in ended.log
