from pathlib import Path

import pytest

from .harness import apply, as_root, refuse

pytestmark = [pytest.mark.root, as_root]


@pytest.fixture
def accounts(tree: Path) -> Path:
    """A tree with accounts of packages and of its own, and a directory with a file and a link."""
    (tree / "etc").mkdir()
    (tree / "usr/lib").mkdir(parents=True)
    (tree / "etc/passwd").write_text("ada:x:1500:1600:::\n")
    (tree / "etc/group").write_text("team:x:1700:\n")
    (tree / "usr/lib/passwd").write_text("ada:x:1:1:::\npackaged:x:150:150:::\n")
    (tree / "usr/lib/group").write_text("packaged:x:151:\n")
    (tree / "dir").mkdir()
    (tree / "dir/file").touch()
    (tree / "dir/link").symlink_to("/etc/passwd")
    return tree


def owner(path: Path) -> tuple[int, int]:
    return path.lstat().st_uid, path.lstat().st_gid


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"user": "ada", "group": "team"}, (1500, 1700)),
        ({"user": "packaged", "group": "packaged"}, (150, 151)),
        ({"user": 7, "group": 8}, (7, 8)),
        ({"user": "9"}, (9, 0)),
        ({"group": "team"}, (0, 1700)),
    ],
)
def test_names_and_numbers(accounts: Path, change: dict[str, object], expected: tuple[int, int]) -> None:
    apply("chown", accounts, {"items": {"/dir": change}})
    assert owner(accounts / "dir") == expected
    assert owner(accounts / "dir/file") == (0, 0)


def test_recursive_changes_links_themselves(accounts: Path) -> None:
    apply("chown", accounts, {"items": {"/dir": {"user": "ada", "recursive": True}}})
    assert owner(accounts / "dir/file") == (1500, 0)
    assert owner(accounts / "dir/link") == (1500, 0)
    assert owner(accounts / "etc/passwd") == (0, 0)


def test_a_name_that_only_the_machine_knows_is_unknown(accounts: Path) -> None:
    assert "daemon is not in /etc/passwd" in refuse(
        "chown", accounts, {"items": {"/dir": {"user": "daemon"}}}
    )


def test_links_do_not_lead_out(accounts: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.touch()
    (accounts / "link").symlink_to(outside)
    assert "there is no /link" in refuse("chown", accounts, {"items": {"/link": {"user": "ada"}}})
    assert owner(outside) == (0, 0)
