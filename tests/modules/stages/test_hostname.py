from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse


def test_the_name_is_written(tree: Path) -> None:
    apply("hostname", tree, {"hostname": "web-1.example.org"})
    assert (tree / "etc/hostname").read_text() == "web-1.example.org\n"
    assert mode_of(tree / "etc/hostname") == 0o644


def test_a_link_is_replaced(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("safe")
    (tree / "etc").mkdir()
    (tree / "etc/hostname").symlink_to(outside)
    apply("hostname", tree, {"hostname": "new"})
    assert (tree / "etc/hostname").read_text() == "new\n"
    assert not (tree / "etc/hostname").is_symlink()
    assert outside.read_text() == "safe"


@pytest.mark.parametrize("name", ["", "-a", "a-", "a..b", "a.", "a_b", "a b", "ü", "x" * 65, "a\nb", "a\n"])
def test_bad_names_are_refused(tree: Path, name: str) -> None:
    assert "not a host name" in refuse("hostname", tree, {"hostname": name})
    assert not (tree / "etc").exists()
