from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from .blkid import probe
from .raw import loop, run_raw, sparse

pytestmark = pytest.mark.root

UUID = "6a45c1d8-1be1-4f2f-9c8a-8c25b9f9f4a1"


def make(tree: Path, options: dict[str, object], name: str = "disk.img") -> Path:
    image = sparse(tree / name, 320 << 20)
    with loop(image) as device:
        ended = run_raw("mkfs.xfs", tree, {"uuid": UUID, **options}, device=device, epoch=1_700_000_000)
    assert ended.status == 0, ended.log
    return image


def version() -> tuple[int, ...]:
    shown = subprocess.run(["mkfs.xfs", "-V"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return tuple(int(number) for number in re.findall(r"\d+", shown)[:2])


def test_uuid_and_label(tree: Path) -> None:
    fields = probe(make(tree, {"label": "root"}))
    assert (fields["TYPE"], fields["UUID"], fields["LABEL"]) == ("xfs", UUID, "root")


@pytest.mark.parametrize("count", [2, 3])
def test_allocation_groups(tree: Path, count: int) -> None:
    image = make(tree, {"agcount": count})
    command = ["xfs_db", "-r", "-c", "sb 0", "-c", "print agcount", str(image)]
    assert (
        subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        == f"agcount = {count}\n"
    )


def test_same_options_give_the_same_bytes(tree: Path) -> None:
    if version() < (6, 18):
        pytest.skip(f"mkfs.xfs {version()} takes the time of day and random numbers; 6.18 need not")
    assert make(tree, {}, "one.img").read_bytes() == make(tree, {}, "two.img").read_bytes()


def test_what_mkfs_refuses_fails_the_stage(tree: Path) -> None:
    image = sparse(tree / "disk.img", 1 << 20)
    with loop(image) as device:
        ended = run_raw("mkfs.xfs", tree, {"uuid": UUID}, device=device)
    assert ended.status != 0
    assert "mkfs.xfs failed with exit status" in ended.log
