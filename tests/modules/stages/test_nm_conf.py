from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse

PATH = "/etc/NetworkManager/conf.d/10-x.conf"


def test_the_file(tree: Path) -> None:
    settings = {
        "main": {"plugins": ["keyfile"], "no-auto-default": ["*"]},
        "keyfile": {"unmanaged-devices": ["interface-name:veth*", "mac:00:22:68:1c:59:b1"]},
        "device": [
            {"config": {"wifi.scan-rand-mac-address": False}},
            {"name": "eth0", "config": {"managed": True}},
        ],
        "global-dns-domain": [{"name": "*", "config": {"servers": ["192.0.2.1", "192.0.2.2"]}}],
    }
    apply("nm.conf", tree, {"path": PATH, "settings": settings})
    path = tree / PATH.lstrip("/")
    assert path.read_text() == (
        "[main]\nplugins=keyfile\nno-auto-default=*\n\n"
        "[keyfile]\nunmanaged-devices=interface-name:veth*,mac:00:22:68:1c:59:b1\n\n"
        "[device]\nwifi.scan-rand-mac-address=false\n\n"
        "[device-eth0]\nmanaged=true\n\n"
        "[global-dns-domain-*]\nservers=192.0.2.1,192.0.2.2\n"
    )
    assert (mode_of(path), mode_of(path.parent)) == (0o644, 0o755)


@pytest.mark.parametrize(
    "settings",
    [
        {"main": {"plugins": ["keyfile\n[device]"]}},
        {"device": [{"name": "x]\n[main", "config": {"managed": True}}]},
    ],
)
def test_a_value_cannot_bring_another_line(tree: Path, settings: dict[str, object]) -> None:
    refuse("nm.conf", tree, {"path": PATH, "settings": settings})
    assert list(tree.iterdir()) == []
