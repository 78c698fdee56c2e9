import time
from pathlib import Path

from .harness import apply, mode_of, refuse

OPTIONS = {"release": "Fedora 40", "basearch": "x86_64"}


def test_the_time_of_the_pipeline(tree: Path) -> None:
    apply("discinfo", tree, OPTIONS, epoch=1_700_000_000)
    assert (tree / ".discinfo").read_text() == "1700000000.000000\nFedora 40\nx86_64\n"
    assert mode_of(tree / ".discinfo") == 0o644


def test_the_time_of_the_build(tree: Path) -> None:
    before = time.time()
    apply("discinfo", tree, OPTIONS)
    made = float((tree / ".discinfo").read_text().splitlines()[0])
    assert before - 1 <= made <= time.time() + 1


def test_a_value_cannot_bring_another_line(tree: Path) -> None:
    assert "release has to be one line" in refuse("discinfo", tree, {**OPTIONS, "release": "a\nb"})
    assert list(tree.iterdir()) == []
