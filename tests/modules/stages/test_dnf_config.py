from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse


def test_settings_change_in_place(tree: Path) -> None:
    (tree / "etc/dnf").mkdir(parents=True)
    path = tree / "etc/dnf/dnf.conf"
    path.write_text("# See man\n[main]\ngpgcheck=1\nip_resolve = 6\n\n[other]\nip_resolve=6\n")
    config = {"main": {"ip_resolve": "4", "tsflags": ["nodocs", "noscripts"]}}
    apply("dnf.config", tree, {"config": config})
    assert path.read_text() == (
        "# See man\n[main]\ngpgcheck=1\nip_resolve=4\ntsflags=nodocs,noscripts\n\n[other]\nip_resolve=6\n"
    )


def test_a_new_file_and_variables(tree: Path) -> None:
    variables = [{"name": "releasever", "value": "8.4"}, {"name": "x", "value": ""}]
    apply("dnf.config", tree, {"variables": variables, "config": {"main": {"ip_resolve": "IPv4"}}})
    assert (tree / "etc/dnf/dnf.conf").read_text() == "[main]\nip_resolve=IPv4\n"
    assert (tree / "etc/dnf/vars/releasever").read_text() == "8.4\n"
    assert mode_of(tree / "etc/dnf/vars/releasever") == 0o644


def test_nothing_to_do(tree: Path) -> None:
    apply("dnf.config", tree, {"config": {"main": {}}})
    assert list(tree.iterdir()) == []


@pytest.mark.parametrize("variable", [{"name": "a", "value": "x\ny"}, {"name": "a\n", "value": "x"}])
def test_variables_that_cannot_be(tree: Path, variable: dict[str, str]) -> None:
    refuse("dnf.config", tree, {"variables": [variable]})
    assert list(tree.iterdir()) == []
