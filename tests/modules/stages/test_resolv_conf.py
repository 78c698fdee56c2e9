from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse


def test_the_file(tree: Path) -> None:
    options = {"nameserver": ["192.0.2.1", "2001:db8::1"], "search": ["example.com", "example.org"]}
    apply("resolv-conf", tree, options)
    path = tree / "etc/resolv.conf"
    assert (
        path.read_text() == "nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch example.com example.org\n"
    )
    assert mode_of(path) == 0o644


def test_nothing_asked_for(tree: Path) -> None:
    (tree / "etc").mkdir()
    (tree / "etc/resolv.conf").write_text("nameserver 192.0.2.1\n")
    apply("resolv-conf", tree, {})
    assert (tree / "etc/resolv.conf").read_text() == ""


def test_a_link_to_a_service_is_replaced(tree: Path) -> None:
    (tree / "etc").mkdir()
    (tree / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    apply("resolv-conf", tree, {"nameserver": ["192.0.2.1"]})
    assert not (tree / "etc/resolv.conf").is_symlink()
    assert not (tree / "run").exists()


@pytest.mark.parametrize("options", [{"nameserver": ["1.1.1.1\nnameserver 9.9.9.9"]}, {"search": ["a b"]}])
def test_one_value_cannot_be_two(tree: Path, options: dict[str, list[str]]) -> None:
    refuse("resolv-conf", tree, options)
    assert list(tree.iterdir()) == []
