from pathlib import Path

from .harness import apply, mode_of, refuse


def test_the_file(tree: Path) -> None:
    apply(
        "systemd-logind", tree, {"filename": "x.conf", "config": {"Login": {"NAutoVTs": 0, "ReserveVT": 6}}}
    )
    path = tree / "usr/lib/systemd/logind.conf.d/x.conf"
    assert path.read_text() == "[Login]\nNAutoVTs=0\nReserveVT=6\n"
    assert mode_of(path) == 0o644


def test_a_name_that_is_none(tree: Path) -> None:
    options = {"filename": "x.conf\n", "config": {"Login": {"NAutoVTs": 0}}}
    assert "not the name of a file" in refuse("systemd-logind", tree, options)
