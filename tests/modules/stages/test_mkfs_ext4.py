from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from .raw import loop, run_raw, sparse

pytestmark = pytest.mark.root

UUID = "6e4ff95f-f662-45ee-a82a-bdf44a2d0b75"


def make(tree: Path, options: dict[str, object], name: str = "disk.img") -> Path:
    image = sparse(tree / name, 64 << 20)
    with loop(image) as device:
        ended = run_raw("mkfs.ext4", tree, {"uuid": UUID, **options}, device=device, epoch=1_700_000_000)
    assert ended.status == 0, ended.log
    return image


def superblock(image: Path) -> dict[str, str]:
    text = subprocess.run(["dumpe2fs", "-h", str(image)], capture_output=True, text=True, check=True).stdout
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def test_uuid_label_and_features(tree: Path) -> None:
    options = {"label": "root", "verity": True, "metadata_csum_seed": True, "orphan_file": False}
    fields = superblock(make(tree, options))
    assert fields["Filesystem UUID"] == UUID
    assert fields["Filesystem volume name"] == "root"
    features = fields["Filesystem features"].split()
    assert {"verity", "metadata_csum_seed", "extent"} <= set(features)
    assert "orphan_file" not in features


def test_same_options_give_the_same_bytes(tree: Path) -> None:
    images = [make(tree, {"label": "root"}, name) for name in ("one.img", "two.img")]
    first, second = (hashlib.sha256(image.read_bytes()).hexdigest() for image in images)
    assert first == second
    assert "Nov 14" in superblock(images[0])["Filesystem created"]


@pytest.mark.parametrize("lazy", [True, False])
def test_lazy_init(tree: Path, lazy: bool) -> None:
    # With it, the tables are written by the kernel later, so the groups are marked.
    image = make(tree, {"lazy_init": lazy})
    groups = subprocess.run(["dumpe2fs", str(image)], capture_output=True, text=True, check=True).stdout
    zeroed = [line for line in groups.splitlines() if line.startswith("Group ") and "ITABLE_ZEROED" in line]
    assert bool(zeroed) is not lazy


def test_what_mkfs_refuses_fails_the_stage(tree: Path) -> None:
    image = sparse(tree / "disk.img", 1 << 10)
    with loop(image) as device:
        ended = run_raw("mkfs.ext4", tree, {"uuid": UUID}, device=device)
    assert ended.status != 0
