from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .blkid import probe
from .raw import loop, run_raw, sparse

pytestmark = pytest.mark.root

UUID = "0f9a4c0e-7d0f-4a53-8a36-5d0e3c1f7b52"


def make(tree: Path, options: dict[str, object]) -> Path:
    image = sparse(tree / "disk.img", 256 << 20)
    with loop(image) as device:
        ended = run_raw("mkfs.btrfs", tree, {"uuid": UUID, **options}, device=device)
    assert ended.status == 0, ended.log
    return image


def test_uuid_and_label(tree: Path) -> None:
    fields = probe(make(tree, {"label": "root"}))
    assert (fields["TYPE"], fields["UUID"], fields["LABEL"]) == ("btrfs", UUID, "root")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "METADATA|DUP"),
        ({"metadata": "dup"}, "METADATA|DUP"),
        ({"metadata": "single"}, "METADATA|single"),
    ],
)
def test_copies_of_metadata(tree: Path, options: dict[str, object], expected: str) -> None:
    command = ["btrfs", "inspect-internal", "dump-tree", "--tree", "chunk", str(make(tree, options))]
    chunks = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert f"type {expected}\n" in chunks


def test_what_mkfs_refuses_fails_the_stage(tree: Path) -> None:
    image = sparse(tree / "disk.img", 1 << 20)
    with loop(image) as device:
        ended = run_raw("mkfs.btrfs", tree, {"uuid": UUID}, device=device)
    assert ended.status != 0
    assert "mkfs.btrfs failed with exit status" in ended.log
