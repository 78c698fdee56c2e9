from pathlib import Path

import pytest

from .harness import apply, as_root, debian_tree, mode_of, refuse

pytestmark = [pytest.mark.root, as_root]

HASH = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/"
EPOCH = 1_700_000_000
DAY = EPOCH // 86400


def entry(tree: Path, database: str, name: str) -> list[str]:
    for line in (tree / "etc" / database).read_text().splitlines():
        fields = line.split(":")
        if fields[0] == name:
            return fields
    raise AssertionError(f"no {name} in {database}")


@pytest.fixture
def debian(tree: Path) -> Path:
    return debian_tree(tree)


def add(tree: Path, users: dict[str, object]) -> str:
    return apply("users", tree, {"users": users}, host_usr=True, epoch=EPOCH)


def test_a_new_user_has_all_that_was_asked_for(debian: Path) -> None:
    user = {
        "uid": 1500,
        "gid": 100,
        "groups": ["sudo"],
        "description": "Ada L.",
        "home": "/home/ada",
        "shell": "/bin/bash",
        "password": HASH,
        "expiredate": 20000,
    }
    add(debian, {"ada": user})
    assert entry(debian, "passwd", "ada") == ["ada", "x", "1500", "100", "Ada L.", "/home/ada", "/bin/bash"]
    shadow = entry(debian, "shadow", "ada")
    assert shadow[1] == HASH
    assert shadow[2] == str(DAY)
    assert shadow[7] == "20000"
    assert entry(debian, "group", "sudo")[3] == "ada"
    home = debian / "home/ada"
    assert (home.stat().st_uid, home.stat().st_gid) == (1500, 100)
    assert (home / ".profile").stat().st_uid == 1500


def test_without_options_the_password_is_locked(debian: Path) -> None:
    add(debian, {"plain": {}})
    assert entry(debian, "shadow", "plain")[1].startswith("!")


@pytest.mark.parametrize("password", ["", "!", "*"])
def test_passwords_that_are_no_hash_are_kept_as_they_are(debian: Path, password: str) -> None:
    add(debian, {"someone": {"password": password}})
    assert entry(debian, "shadow", "someone")[1] == password


def test_keys_come_with_the_right_owner_and_modes(debian: Path) -> None:
    add(debian, {"ada": {"uid": 1500, "key": "ssh-ed25519 AAAA one", "keys": ["ssh-ed25519 BBBB two"]}})
    folder = debian / "home/ada/.ssh"
    file = folder / "authorized_keys"
    assert file.read_text() == "ssh-ed25519 BBBB two\nssh-ed25519 AAAA one\n"
    assert (mode_of(folder), mode_of(file)) == (0o700, 0o600)
    gid = int(entry(debian, "passwd", "ada")[3])
    for path in (debian / "home/ada", folder, file):
        assert (path.stat().st_uid, path.stat().st_gid) == (1500, gid)
    # The skeleton is there too, although nobody asked for a home directory.
    assert (debian / "home/ada/.profile").exists()


def test_a_key_that_is_there_is_not_added_again(debian: Path) -> None:
    add(debian, {"ada": {"key": "ssh-ed25519 AAAA one"}})
    add(debian, {"ada": {"keys": ["ssh-ed25519 AAAA one", "ssh-ed25519 BBBB two"]}})
    keys = (debian / "home/ada/.ssh/authorized_keys").read_text()
    assert keys == "ssh-ed25519 AAAA one\nssh-ed25519 BBBB two\n"


def test_an_existing_user_is_changed(debian: Path) -> None:
    add(debian, {"root": {"password": HASH, "key": "ssh-ed25519 AAAA one", "shell": "/bin/sh"}})
    assert entry(debian, "shadow", "root")[1:3] == [HASH, str(DAY)]
    assert entry(debian, "passwd", "root")[6] == "/bin/sh"
    assert (debian / "root/.ssh/authorized_keys").stat().st_uid == 0


def test_an_existing_user_gets_the_missing_home(debian: Path) -> None:
    add(debian, {"ada": {"uid": 1500, "home": ""}})
    assert not (debian / "home/ada").exists()
    add(debian, {"ada": {"description": "now with a home"}})
    assert (debian / "home/ada").stat().st_uid == 1500


def test_an_account_without_a_home_stays_without(debian: Path) -> None:
    add(debian, {"nobody": {"description": "still nobody"}})
    assert not (debian / "nonexistent").exists()


def test_the_uid_of_an_existing_user_stays(debian: Path) -> None:
    add(debian, {"root": {"uid": 0}})
    assert "cannot be changed" in refuse("users", debian, {"users": {"root": {"uid": 7}}}, host_usr=True)


def test_a_reset_password_has_to_be_changed_at_login(debian: Path) -> None:
    add(debian, {"ada": {"password": HASH, "force_password_reset": True}})
    assert entry(debian, "shadow", "ada")[1:3] == [HASH, "0"]


def test_an_unknown_group_is_an_error(debian: Path) -> None:
    log = refuse("users", debian, {"users": {"ada": {"groups": ["wheel"]}}}, host_usr=True)
    assert "wheel" in log


def test_a_tree_without_the_tools_says_which_is_missing(tree: Path) -> None:
    (tree / "etc").mkdir()
    (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    assert "cannot run useradd of the tree" in refuse("users", tree, {"users": {"ada": {}}})


def test_a_linked_home_does_not_lead_out_of_the_tree(debian: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (debian / "root").rmdir()
    (debian / "root").symlink_to(outside)
    inside = debian / outside.relative_to("/")
    inside.mkdir(parents=True)
    add(debian, {"root": {"key": "ssh-ed25519 AAAA one"}})
    assert list(outside.iterdir()) == []
    assert (inside / ".ssh/authorized_keys").exists()


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for name in ("first", "second"):
        tree = tmp_path / name
        tree.mkdir()
        debian_tree(tree)
        add(tree, {"ada": {"password": HASH, "groups": ["sudo"], "key": "ssh-ed25519 AAAA one"}, "bob": {}})
        add(tree, {"bob": {"password": ""}})
        files = sorted(path for path in (tree / "etc").iterdir() if path.is_file())
        contents.append({path.name: path.read_bytes() for path in files})
    assert contents[0] == contents[1]
    assert "passwd-" in contents[0]
