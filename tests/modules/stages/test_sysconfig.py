import subprocess
from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse


def test_files_are_overwritten(tree: Path) -> None:
    (tree / "etc/sysconfig").mkdir(parents=True)
    (tree / "etc/sysconfig/kernel").write_text("OLD=1\n")
    options = {
        "kernel": {"update_default": True, "default_kernel": "kernel"},
        "network": {"networking": True, "no_zero_conf": False},
        "desktop": {"preferred": "/usr/bin/startxfce4"},
        "livesys": {"session": "gnome"},
    }
    apply("sysconfig", tree, options)
    folder = tree / "etc/sysconfig"
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "kernel": "UPDATEDEFAULT=yes\nDEFAULTKERNEL=kernel\n",
        "network": "NETWORKING=yes\nNOZEROCONF=no\n",
        "desktop": "PREFERRED=/usr/bin/startxfce4\n",
        "livesys": "livesys_session=gnome\n",
    }
    assert mode_of(folder / "network") == 0o644


def test_interfaces(tree: Path) -> None:
    settings = {"device": "eth0", "bootproto": "dhcp", "onboot": True, "type": "Ethernet", "userctl": False}
    apply("sysconfig", tree, {"network-scripts": {"ifcfg": {"eth0": settings, "eth1": {"peerdns": False}}}})
    folder = tree / "etc/sysconfig/network-scripts"
    assert (folder / "ifcfg-eth0").read_text().splitlines() == [
        "BOOTPROTO=dhcp",
        "DEVICE=eth0",
        "ONBOOT=yes",
        "TYPE=Ethernet",
        "USERCTL=no",
    ]
    assert (folder / "ifcfg-eth1").read_text() == "PEERDNS=no\n"


@pytest.mark.parametrize("value", ["a b", "$(touch /tmp/x)`id`", 'a"; X="1', ""])
def test_a_shell_reads_the_value_back(tree: Path, value: str) -> None:
    apply("sysconfig", tree, {"kernel": {"default_kernel": value}})
    script = f'. "{tree}/etc/sysconfig/kernel"; printf %s "$DEFAULTKERNEL"'
    assert (
        subprocess.run(["sh", "-ec", script], stdout=subprocess.PIPE, text=True, check=True).stdout == value
    )


@pytest.mark.parametrize(
    "options",
    [
        {"livesys": {"session": "gnome\nX=1"}},
        {"network-scripts": {"ifcfg": {"eth0\n": {"onboot": True}}}},
        {"network-scripts": {"ifcfg": {"eth0": {"device": "eth0\nX=1"}}}},
    ],
)
def test_a_value_cannot_bring_another_line(tree: Path, options: dict[str, object]) -> None:
    refuse("sysconfig", tree, options)
    assert list(tree.iterdir()) == []
