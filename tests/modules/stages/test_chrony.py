from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse

CONFIG = """\
# pool of the distribution
pool 2.debian.pool.ntp.org iburst
  Server old.example.com
peer old2.example.com
sourcedir /etc/chrony/sources.d
leapsectz right/UTC
driftfile /var/lib/chrony/chrony.drift
"""
KEPT = [
    "# pool of the distribution",
    "sourcedir /etc/chrony/sources.d",
    "driftfile /var/lib/chrony/chrony.drift",
]


@pytest.fixture
def installed(tree: Path) -> Path:
    (tree / "etc").mkdir()
    (tree / "etc/chrony.conf").write_text(CONFIG)
    (tree / "etc/chrony.conf").chmod(0o640)
    return tree


def lines_of(tree: Path) -> list[str]:
    return (tree / "etc/chrony.conf").read_text().splitlines()


def test_servers_take_the_place_of_those_that_are_there(installed: Path) -> None:
    options = {
        "timeservers": ["ntp1.example.com"],
        "servers": [
            {"hostname": "192.0.2.1", "prefer": True, "minpoll": 4, "maxpoll": 4},
            {"hostname": "ntp2.example.com", "iburst": False, "minpoll": -6},
        ],
        "leapsectz": "",
    }
    apply("chrony", installed, options)
    assert lines_of(installed) == [
        "server ntp1.example.com iburst",
        "server 192.0.2.1 prefer iburst minpoll 4 maxpoll 4",
        "server ntp2.example.com minpoll -6",
        *KEPT,
    ]
    assert mode_of(installed / "etc/chrony.conf") == 0o640


def test_reference_clocks(installed: Path) -> None:
    clocks = [
        {
            "driver": {"name": "PPS", "device": "/dev/pps0", "clear": True},
            "poll": 1,
            "dpoll": 2,
            "offset": 0.3,
        },
        {"driver": {"name": "SHM", "segment": 0, "perm": "0660"}},
        {"driver": {"name": "SOCK", "path": "/run/clock.sock"}, "poll": 5},
        {
            "driver": {
                "name": "PHC",
                "path": "/dev/ptp0",
                "nocrossts": True,
                "extpps": False,
                "pin": 3,
                "channel": 4,
            },
            "dpoll": -2,
        },
    ]
    apply("chrony", installed, {"refclocks": clocks})
    assert lines_of(installed)[:5] == [
        "refclock PPS /dev/pps0:clear poll 1 dpoll 2 offset 0.3",
        "refclock SHM 0:perm=0660",
        "refclock SOCK /run/clock.sock poll 5",
        "refclock PHC /dev/ptp0:nocrossts,pin=3,channel=4 dpoll -2",
        KEPT[0],
    ]


def test_leap_seconds_alone_leave_the_servers(installed: Path) -> None:
    apply("chrony", installed, {"leapsectz": "right/Europe/Berlin"})
    expected = CONFIG.replace("leapsectz right/UTC\n", "") + "leapsectz right/Europe/Berlin\n"
    assert "\n".join(lines_of(installed)) + "\n" == expected


def test_debian(tree: Path) -> None:
    (tree / "etc/chrony").mkdir(parents=True)
    (tree / "etc/chrony/chrony.conf").write_text(CONFIG)
    apply("chrony", tree, {"timeservers": ["a.example.com"]})
    assert (tree / "etc/chrony/chrony.conf").read_text().startswith("server a.example.com iburst\n# pool")
    assert not (tree / "etc/chrony.conf").exists()


def test_no_chrony(tree: Path) -> None:
    assert "is chrony installed?" in refuse("chrony", tree, {"timeservers": ["a.example.com"]})


@pytest.mark.parametrize(
    "options",
    [
        {"timeservers": ["a\nuser root"]},
        {"servers": [{"hostname": "a iburst port 1"}]},
        {"leapsectz": "right/UTC\nuser root"},
        {"refclocks": [{"driver": {"name": "SOCK", "path": "/a\nuser root"}}]},
        {"refclocks": [{"driver": {"name": "SHM", "segment": 0, "perm": "0660\n"}}]},
    ],
)
def test_a_value_cannot_bring_another_line(installed: Path, options: dict[str, object]) -> None:
    refuse("chrony", installed, options)
    assert (installed / "etc/chrony.conf").read_text() == CONFIG
