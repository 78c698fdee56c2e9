from pathlib import Path

import pytest

from .harness import apply, refuse

OLD = "0123456789abcdef0123456789abcdef\n"


@pytest.mark.parametrize(("choice", "content"), [("yes", "uninitialized\n"), ("no", ""), ("preserve", OLD)])
def test_each_choice(tree: Path, choice: str, content: str) -> None:
    (tree / "etc").mkdir()
    (tree / "etc/machine-id").write_text(OLD)
    apply("machine-id", tree, {"first-boot": choice})
    assert (tree / "etc/machine-id").read_text() == content


@pytest.mark.parametrize(("choice", "content"), [("yes", "uninitialized\n"), ("no", "")])
def test_a_tree_without_one(tree: Path, choice: str, content: str) -> None:
    apply("machine-id", tree, {"first-boot": choice})
    assert (tree / "etc/machine-id").read_text() == content


def test_nothing_to_preserve(tree: Path) -> None:
    assert "no /etc/machine-id to preserve" in refuse("machine-id", tree, {"first-boot": "preserve"})
