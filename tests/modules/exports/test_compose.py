"""org.osbuild.compose: what it asks for. What it does is tested in tests/integration/compose."""

from __future__ import annotations

from pathlib import Path

from .harness import run


def test_it_needs_a_directory(tmp_path: Path) -> None:
    done = run("compose", tmp_path, {})
    assert done.error == "there is no directory to publish to"


def test_it_says_that_there_is_nothing_to_publish(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    done = run("compose", tmp_path / "tree", {}, tmp_path / "output")
    assert done.error == "there is no repository in the tree"
    assert "org.osbuild.createrepo" in (done.hint or "")
