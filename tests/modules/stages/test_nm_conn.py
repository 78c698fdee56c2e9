from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse

CONNECTION = {
    "id": " Office\\1",
    "uuid": "27afa607-ee36-43f0-b8c3-9d245cdc4bb3",
    "type": "ethernet",
    "autoconnect": True,
    "autoconnect-priority": 10,
}


def test_the_file(tree: Path) -> None:
    settings = {
        "connection": CONNECTION,
        "ethernet": {"mac-address": "00:22:68:1c:59:b1", "mtu": 9000},
        "ipv4": {"method": "manual", "address": ["192.0.2.10/24", "192.0.2.11/24"]},
        "ipv6": {"method": "ignore"},
    }
    apply("nm.conn", tree, {"filename": "office.nmconnection", "settings": settings})
    path = tree / "usr/lib/NetworkManager/system-connections/office.nmconnection"
    assert path.read_text() == (
        "[connection]\nid=\\sOffice\\\\1\nuuid=27afa607-ee36-43f0-b8c3-9d245cdc4bb3\ntype=ethernet\n"
        "autoconnect=true\nautoconnect-priority=10\n\n"
        "[ethernet]\nmac-address=00:22:68:1c:59:b1\nmtu=9000\n\n"
        "[ipv4]\nmethod=manual\naddress1=192.0.2.10/24\naddress2=192.0.2.11/24\n\n"
        "[ipv6]\nmethod=ignore\n"
    )
    # NetworkManager does not take one that others can read.
    assert mode_of(path) == 0o600


def test_a_path(tree: Path) -> None:
    path = tree / "etc/NetworkManager/system-connections/x.conf"
    path.parent.mkdir(parents=True)
    path.write_text("old")
    options = {
        "path": "/etc/NetworkManager/system-connections/x.conf",
        "settings": {"connection": CONNECTION},
    }
    apply("nm.conn", tree, options)
    assert path.read_text().startswith("[connection]\n")
    assert mode_of(path) == 0o600


@pytest.mark.parametrize(
    "options",
    [
        {"filename": "x.nmconnection", "settings": {"connection": {**CONNECTION, "id": "x\n[wifi]"}}},
        {"filename": "x.nmconnection\n", "settings": {"connection": CONNECTION}},
        {"filename": "x.nmconnection", "settings": {"connection": CONNECTION, "ethernet": {"a\nb": "c"}}},
    ],
)
def test_a_value_cannot_bring_another_line(tree: Path, options: dict[str, object]) -> None:
    refuse("nm.conn", tree, options)
    assert list(tree.iterdir()) == []
