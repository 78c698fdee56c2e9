from __future__ import annotations

from pathlib import Path

import pytest

from .blkid import probe
from .raw import loop, run_raw, sparse

pytestmark = pytest.mark.root

UUID = "b2e9e6b5-3d4c-4f2b-8a54-6b0e6e6c3f10"


def make(tree: Path, options: dict[str, object], name: str = "disk.img") -> Path:
    image = sparse(tree / name, 1 << 20)
    with loop(image) as device:
        ended = run_raw("mkswap", tree, {"uuid": UUID, **options}, device=device)
    assert ended.status == 0, ended.log
    return image


def test_uuid_and_label(tree: Path) -> None:
    fields = probe(make(tree, {"label": "swap-space"}))
    assert (fields["TYPE"], fields["UUID"], fields["LABEL"]) == ("swap", UUID, "swap-space")


def test_same_options_give_the_same_bytes(tree: Path) -> None:
    assert make(tree, {}, "one.img").read_bytes() == make(tree, {}, "two.img").read_bytes()


def test_what_mkswap_refuses_fails_the_stage(tree: Path) -> None:
    image = sparse(tree / "disk.img", 1 << 12)
    with loop(image) as device:
        ended = run_raw("mkswap", tree, {"uuid": UUID}, device=device)
    assert ended.status != 0
    assert "mkswap failed with exit status" in ended.log
