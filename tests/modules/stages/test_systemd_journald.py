from pathlib import Path

from .harness import apply, mode_of, refuse

CONFIG = {"Storage": "volatile", "MaxFileSec": "1month 2day", "Audit": ""}


def test_the_file(tree: Path) -> None:
    apply("systemd-journald", tree, {"filename": "10-x.conf", "config": {"Journal": CONFIG}})
    path = tree / "usr/lib/systemd/journald.conf.d/10-x.conf"
    assert path.read_text() == "[Journal]\nStorage=volatile\nMaxFileSec=1month 2day\nAudit=\n"
    assert mode_of(path) == 0o644


def test_a_second_run_keeps_the_mode(tree: Path) -> None:
    options = {"filename": "10-x.conf", "config": {"Journal": CONFIG}}
    apply("systemd-journald", tree, options)
    path = tree / "usr/lib/systemd/journald.conf.d/10-x.conf"
    text = path.read_text()
    path.chmod(0o600)
    apply("systemd-journald", tree, options)
    assert (path.read_text(), mode_of(path)) == (text, 0o600)


def test_a_value_cannot_bring_another_setting(tree: Path) -> None:
    config = {"Journal": {"Compress": "yes\nForwardToSyslog=yes"}}
    log = refuse("systemd-journald", tree, {"filename": "10-x.conf", "config": config})
    assert "Compress has to be one line" in log
