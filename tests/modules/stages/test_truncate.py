from pathlib import Path

import pytest

from .harness import apply, refuse


@pytest.mark.parametrize(
    ("size", "expected"), [("1G", 1 << 30), ("4096", 4096), ("10MB", 10_000_000), ("512KiB", 1 << 19)]
)
def test_a_new_file_takes_no_space(tree: Path, size: str, expected: int) -> None:
    apply("truncate", tree, {"filename": "disk.img", "size": size})
    assert (tree / "disk.img").stat().st_size == expected
    assert (tree / "disk.img").stat().st_blocks == 0


def test_an_old_file_grows_and_shrinks(tree: Path) -> None:
    (tree / "file").write_text("0123456789")
    apply("truncate", tree, {"filename": "/file", "size": "+5"})
    assert (tree / "file").read_bytes() == b"0123456789" + bytes(5)
    apply("truncate", tree, {"filename": "/file", "size": "3"})
    assert (tree / "file").read_bytes() == b"012"


def test_a_bad_size_fails(tree: Path) -> None:
    assert "10 bananas" in refuse("truncate", tree, {"filename": "file", "size": "10 bananas"})


def test_links_do_not_lead_out(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("safe")
    (tree / "link").symlink_to(outside)
    refuse("truncate", tree, {"filename": "link", "size": "0"})
    assert outside.read_text() == "safe"
