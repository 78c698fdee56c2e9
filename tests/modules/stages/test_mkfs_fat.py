from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .blkid import probe
from .raw import loop, run_raw, sparse

pytestmark = pytest.mark.root

EPOCH = 1_700_000_000


def make(
    tree: Path, options: dict[str, object], *, name: str = "esp.img", epoch: int | None = EPOCH, mib: int = 64
) -> Path:
    image = sparse(tree / name, mib << 20)
    with loop(image) as device:
        ended = run_raw("mkfs.fat", tree, {"volid": "7B7795E7", **options}, device=device, epoch=epoch)
    assert ended.status == 0, ended.log
    return image


@pytest.mark.parametrize("epoch", [EPOCH, None])
def test_id_and_label(tree: Path, epoch: int | None) -> None:
    fields = probe(make(tree, {"label": "EFI-SYSTEM"}, epoch=epoch))
    assert (fields["TYPE"], fields["UUID"], fields["LABEL"]) == ("vfat", "7B77-95E7", "EFI-SYSTEM")


def test_files_can_be_put_into_it(tree: Path, tmp_path: Path) -> None:
    image = make(tree, {})
    (tmp_path / "file").write_text("content")
    subprocess.run(["mcopy", "-i", image, tmp_path / "file", "::FILE"], check=True)
    shown = subprocess.run(["mtype", "-i", image, "::FILE"], stdout=subprocess.PIPE, check=True).stdout
    assert shown == b"content"


@pytest.mark.parametrize(("bits", "mib"), [(12, 4), (16, 64), (32, 64)])
def test_bits_of_the_table(tree: Path, bits: int, mib: int) -> None:
    assert probe(make(tree, {"fat-size": bits}, mib=mib))["VERSION"] == f"FAT{bits}"


def test_geometry(tree: Path) -> None:
    image = make(tree, {"geometry": {"heads": 12, "sectors-per-track": 42}})
    boot = image.read_bytes()[:512]
    assert int.from_bytes(boot[24:26], "little") == 42
    assert int.from_bytes(boot[26:28], "little") == 12


def test_same_options_give_the_same_bytes(tree: Path) -> None:
    first, second = (make(tree, {"label": "ESP"}, name=name).read_bytes() for name in ("one.img", "two.img"))
    assert first == second
    # The time of the label is the only one; without an epoch it is that of the day.
    assert make(tree, {"label": "ESP"}, epoch=None).read_bytes() != first


def test_what_mkfs_refuses_fails_the_stage(tree: Path) -> None:
    image = sparse(tree / "esp.img", 1 << 20)
    with loop(image) as device:
        ended = run_raw("mkfs.fat", tree, {"volid": "no number"}, device=device)
    assert ended.status != 0
    assert "mkfs.fat failed with exit status" in ended.log
