from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .harness import apply, refuse


@pytest.fixture
def image(tree: Path, tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    # checkisomd5 finds fault with images of less than twenty fragments.
    (tmp_path / "source/file").write_text("content" * 100_000)
    path = tree / "image.iso"
    subprocess.run(["xorrisofs", "-quiet", "-o", path, tmp_path / "source"], check=True)
    return path


def is_sound(image: Path) -> bool:
    done = subprocess.run(["checkisomd5", image], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.returncode == 0


def test_a_medium_can_be_checked(tree: Path, image: Path) -> None:
    before = image.read_bytes()
    apply("implantisomd5", tree, {"filename": "/image.iso"})
    assert is_sound(image)
    after = image.read_bytes()
    # The application's own field of the primary volume descriptor.
    start, end = 16 * 2048 + 883, 16 * 2048 + 883 + 512
    assert (before[:start], before[end:]) == (after[:start], after[end:])
    with image.open("r+b") as file:
        file.seek(200 * 1024)
        file.write(b"other")
    assert not is_sound(image)


def test_what_is_no_image(tree: Path, image: Path) -> None:
    (tree / "text").write_text("no image")
    assert "text is no ISO 9660 image" in refuse("implantisomd5", tree, {"filename": "text"})
    assert "there is no file none" in refuse("implantisomd5", tree, {"filename": "none"})
    apply("implantisomd5", tree, {"filename": "image.iso"})
    assert "Application data has been used" in refuse("implantisomd5", tree, {"filename": "image.iso"})
