from pathlib import Path

from .harness import apply, mode_of

CONFIG = """\
# SELINUX= can take one of these values:
SELINUX=enforcing
# SELINUXTYPE= can take one of these values:
SELINUXTYPE=targeted
"""


def test_settings_change_in_place(tree: Path) -> None:
    (tree / "etc/selinux").mkdir(parents=True)
    path = tree / "etc/selinux/config"
    path.write_text(CONFIG)
    apply("selinux.config", tree, {"state": "permissive"})
    assert path.read_text() == CONFIG.replace("SELINUX=enforcing", "SELINUX=permissive")
    apply("selinux.config", tree, {"type": "mls", "state": "disabled"})
    expected = CONFIG.replace("SELINUX=enforcing", "SELINUX=disabled").replace("=targeted", "=mls")
    assert path.read_text() == expected


def test_a_new_file(tree: Path) -> None:
    apply("selinux.config", tree, {"state": "enforcing", "type": "targeted"})
    path = tree / "etc/selinux/config"
    assert path.read_text() == "SELINUX=enforcing\nSELINUXTYPE=targeted\n"
    assert mode_of(path) == 0o644


def test_nothing_to_do(tree: Path) -> None:
    apply("selinux.config", tree, {})
    assert list(tree.iterdir()) == []
