import shutil
from pathlib import Path

import pytest

from .harness import apply, as_root, refuse

pytestmark = [
    pytest.mark.root,
    as_root,
    pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd-sysusers is not installed"),
]


@pytest.fixture
def declared(tree: Path) -> Path:
    (tree / "etc").mkdir()
    for name in ("passwd", "group", "shadow", "gshadow"):
        (tree / "etc" / name).touch()
    (tree / "usr/lib/sysusers.d").mkdir(parents=True)
    return tree


def test_users_and_groups_are_created(declared: Path) -> None:
    (declared / "usr/lib/sysusers.d/web.conf").write_text('u web 970 "The web" /srv/web\nm web logs\n')
    apply("systemd-sysusers", declared, {})
    passwd = (declared / "etc/passwd").read_text()
    assert passwd.startswith("web:x:970:970:The web:/srv/web:")
    assert "logs:x:" in (declared / "etc/group").read_text()


def test_a_failure_is_one(declared: Path) -> None:
    (declared / "usr/lib/sysusers.d/web.conf").write_text("u web 970\n")
    (declared / "etc/passwd").unlink()
    (declared / "etc/passwd").mkdir()
    assert "systemd-sysusers failed" in refuse("systemd-sysusers", declared, {})
