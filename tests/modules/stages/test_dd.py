from __future__ import annotations

from pathlib import Path

import pytest

from .harness import apply, refuse

MIB = 1 << 20


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An input with a disk image of 4 MiB: a hole, then data from 1 MiB to 3 MiB, then a hole."""
    path = tmp_path / "image"
    path.mkdir()
    with (path / "disk.img").open("wb") as file:
        file.seek(MIB)
        file.write(b"0123456789abcdef" * (2 * MIB // 16))
        file.truncate(4 * MIB)
    return path


def copy(tree: Path, image: Path, **options: object) -> bytes:
    apply("dd", tree, {"src": "input://image/disk.img", "dst": "part", **options}, inputs={"image": image})
    return (tree / "part").read_bytes()


@pytest.mark.parametrize(
    ("offset", "count"),
    [
        (0, 4 * MIB),
        (MIB, 2 * MIB),
        (MIB + 3, 5),
        (MIB - 1, 1),
        (3 * MIB - 7, MIB + 7),
        (512 * 3, 2 * MIB + 1),
    ],
)
def test_these_bytes_are_copied(tree: Path, image: Path, offset: int, count: int) -> None:
    whole = (image / "disk.img").read_bytes()
    assert copy(tree, image, src_offset=offset, count=count) == whole[offset : offset + count]


def test_it_starts_at_the_beginning(tree: Path, image: Path) -> None:
    assert copy(tree, image, count=MIB + 4) == bytes(MIB) + b"0123"


def test_zeros_take_no_space(tree: Path, image: Path) -> None:
    copy(tree, image, count=4 * MIB)
    assert (tree / "part").stat().st_blocks * 512 < 3 * MIB


def test_an_old_file_is_replaced(tree: Path, image: Path) -> None:
    (tree / "part").write_bytes(b"x" * 100)
    assert copy(tree, image, count=50) == bytes(50)


def test_out_of_the_tree_and_of_a_mount(tree: Path, image: Path) -> None:
    (tree / "file").write_text("in the tree")
    apply("dd", tree, {"src": "tree:///file", "dst": "a", "src_offset": 3, "count": 3})
    options = {"src": "mount://disk/disk.img", "dst": "b", "src_offset": MIB, "count": 4}
    apply("dd", tree, options, mounts={"disk": image})
    assert ((tree / "a").read_text(), (tree / "b").read_text()) == ("the", "0123")


def test_a_file_is_not_copied_onto_itself(tree: Path) -> None:
    (tree / "file").write_text("content")
    (tree / "link").symlink_to("file")
    log = refuse("dd", tree, {"src": "tree:///file", "dst": "link", "count": 3})
    assert "tree:///file and link are the same file" in log
    assert (tree / "file").read_text() == "content"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"count": 4 * MIB + 1}, "has 4194304 bytes, too few for 4194305 from 0 on"),
        ({"count": 1, "src_offset": 4 * MIB}, "has 4194304 bytes, too few for 1 from 4194304 on"),
        ({"count": 1, "src": "input://image/none"}, "there is no input://image/none"),
        ({"count": 1, "src": "input://other/x"}, "unknown input 'other'"),
    ],
)
def test_what_is_not_there_is_named(tree: Path, image: Path, options: dict[str, object], said: str) -> None:
    complete = {"src": "input://image/disk.img", "dst": "part", **options}
    assert said in refuse("dd", tree, complete, inputs={"image": image})
    assert not (tree / "part").exists()


def test_links_do_not_lead_out(tree: Path, image: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("safe")
    (tree / "link").symlink_to(outside)
    (image / "link").symlink_to(outside)
    refuse("dd", tree, {"src": "input://image/disk.img", "dst": "link", "count": 1}, inputs={"image": image})
    refuse("dd", tree, {"src": "input://image/link", "dst": "new", "count": 1}, inputs={"image": image})
    assert outside.read_text() == "safe"
