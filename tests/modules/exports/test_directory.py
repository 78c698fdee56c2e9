from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from .harness import run


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "tree"
    (path / "images").mkdir(parents=True)
    with (path / "images/disk.raw").open("wb") as file:
        file.truncate(64 << 20)
        file.write(b"boot")
    (path / "latest").symlink_to("/images/disk.raw")
    return path


@pytest.mark.parametrize("source", ["/images/disk.raw", "/images/../images/disk.raw"])
def test_a_file(tree: Path, tmp_path: Path, source: str) -> None:
    place = tmp_path / "srv/images"
    done = run("directory", tree, {"source": source, "path": str(place)})
    copied = place / "disk.raw"
    assert done.error is None
    assert done.data == {
        "path": str(copied),
        "size": 64 << 20,
        "sha256": hashlib.sha256(copied.read_bytes()).hexdigest(),
    }
    assert copied.read_bytes() == (tree / "images/disk.raw").read_bytes()
    assert copied.stat().st_blocks * 512 < 1 << 20
    assert os.listdir(place) == ["disk.raw"]


def test_a_tree_goes_over_what_is_there(tree: Path, tmp_path: Path) -> None:
    place = tmp_path / "out"
    (place / "images").mkdir(parents=True)
    (place / "other").touch()
    (place / "images/disk.raw").symlink_to(tmp_path / "victim")
    (tmp_path / "victim").write_text("precious")
    assert run("directory", tree, {}, place).data == {"path": str(place)}
    assert sorted(os.listdir(place)) == ["images", "latest", "other"]
    assert (place / "images/disk.raw").stat().st_size == 64 << 20
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize(("owners", "expected"), [("keep", (7, 8)), ("ours", (0, 0))])
@pytest.mark.root
def test_owners(tree: Path, tmp_path: Path, owners: str, expected: tuple[int, int]) -> None:
    os.chown(tree / "images/disk.raw", 7, 8)
    place = tmp_path / "out"
    run("directory", tree, {"source": "/images/disk.raw", "path": str(place), "owners": owners})
    info = (place / "disk.raw").stat()
    assert (info.st_uid, info.st_gid) == expected


def test_what_goes_wrong(tree: Path, tmp_path: Path) -> None:
    missing = run("directory", tree, {"source": "/disk.raw", "path": str(tmp_path / "out")})
    assert missing.error == "the tree has no /disk.raw" and missing.place == ("source",)
    nowhere = run("directory", tree, {})
    assert nowhere.error and "--output-directory" in str(nowhere.hint)
    (tmp_path / "file").touch()
    blocked = run("directory", tree, {"path": str(tmp_path / "file/below")})
    assert blocked.error and blocked.place == ("path",)
    (tmp_path / "out/disk.raw").mkdir(parents=True)
    taken = run("directory", tree, {"source": "/images/disk.raw", "path": str(tmp_path / "out")})
    assert taken.error == f"{tmp_path}/out/disk.raw is a directory"
    assert os.listdir(tmp_path / "out") == ["disk.raw"]
