"""OSTree, with a program that stands in for ostree."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from standin import StandIns

COMMIT = "0" * 60 + "abcd"


@pytest.fixture
def ostree(sdk: Callable[[str], Any]) -> Any:
    return sdk("util.ostree")


def test_the_program_gets_arguments_and_options(programs: StandIns, tmp_path: Path, ostree: Any) -> None:
    programs.add("ostree", "print('done', given)")
    done = ostree.cli("remote", "add", tmp_path / "x", _input="key", repo="/r e", mode="bare")
    assert done.stdout == "done key\n"
    assert programs.calls() == [
        ("ostree", ["remote", "add", str(tmp_path / "x"), "--repo=/r e", "--mode=bare"], "key")
    ]


def test_a_failure_is_an_error(programs: StandIns, ostree: Any) -> None:
    programs.add("ostree", "print('error: No such ref'); sys.exit(1)")
    with pytest.raises(subprocess.CalledProcessError):
        ostree.cli("fsck")
    for ask in (ostree.rev_parse, ostree.show):
        with pytest.raises(RuntimeError, match=r"^error: No such ref$"):
            ask(b"/repo", "main")


def test_commits_are_asked_for(programs: StandIns, ostree: Any) -> None:
    programs.add("ostree", f"print('{COMMIT}')")
    assert ostree.rev_parse(Path("/repo"), "main") == COMMIT
    ostree.show("/repo", COMMIT)
    assert [args for _, args, _ in programs.calls()] == [
        ["rev-parse", "--repo=/repo", "main"],
        ["show", "--repo=/repo", COMMIT],
    ]


def test_commits_are_copied(programs: StandIns, ostree: Any) -> None:
    programs.add("ostree")
    ostree.pull_local("/from", "/to", "origin", "main")
    ostree.pull_local("/from", "/to", None, "main")
    assert [args for _, args, _ in programs.calls()] == [
        ["pull-local", "/from", "main", "--remote=origin", "--repo=/to"],
        ["pull-local", "/from", "main", "--repo=/to"],
    ]


def test_a_remote_is_verified_if_it_has_keys(programs: StandIns, ostree: Any) -> None:
    programs.add("ostree")
    ostree.setup_remote("/repo", "one", {"url": "https://a", "gpgkeys": ["k1", "k2"]})
    ostree.setup_remote("/repo", "two", {"url": "https://b", "contenturl": "https://c"})
    assert programs.calls() == [
        ("ostree", ["remote", "add", "one", "https://a", "--repo=/repo"], ""),
        ("ostree", ["remote", "gpg-import", "--stdin", "one", "--repo=/repo"], "k1"),
        ("ostree", ["remote", "gpg-import", "--stdin", "one", "--repo=/repo"], "k2"),
        (
            "ostree",
            [
                "remote",
                "add",
                "two",
                "https://b",
                "--no-gpg-verify",
                "--contenturl=https://c",
                "--repo=/repo",
            ],
            "",
        ),
    ]


def test_an_input_has_commits(ostree: Any) -> None:
    commits = {"path": "/run/osbuild/inputs/commits", "data": {"refs": {COMMIT: {"ref": "main"}}}}
    assert ostree.parse_input_commits(commits) == ("/run/osbuild/inputs/commits", {COMMIT: {"ref": "main"}})
    with pytest.raises(ValueError, match="no commit"):
        ostree.parse_input_commits({"path": "/x", "data": {"refs": {}}})


def test_a_deployment_is_named_or_found(tmp_path: Path, programs: StandIns, ostree: Any) -> None:
    programs.add("ostree", f"print('{COMMIT}')")
    named = {"osname": "fedora", "ref": "main"}
    assert ostree.parse_deployment_option(tmp_path, named) == ("fedora", "main", 0)
    assert ostree.parse_deployment_option(tmp_path, {**named, "serial": 2}) == ("fedora", "main", 2)
    assert ostree.deployment_path(str(tmp_path), "fedora", "main", 2) == (
        f"{tmp_path}/ostree/deploy/fedora/deploy/{COMMIT}.2"
    )
    with pytest.raises(ValueError, match="0 deployments"):
        ostree.parse_deployment_option(tmp_path, {"default": True})
    deploy = tmp_path / "ostree/deploy/fedora/deploy"
    (deploy / f"{COMMIT}.0").mkdir(parents=True)
    (deploy / f"{COMMIT}.0.origin").touch()
    assert ostree.parse_deployment_option(tmp_path, {"default": True}) == ("fedora", COMMIT, 0)
    (deploy / f"{COMMIT}.1").mkdir()
    with pytest.raises(ValueError, match="2 deployments"):
        ostree.parse_deployment_option(tmp_path, {"default": True})


def test_a_treefile_takes_what_rpm_ostree_knows(ostree: Any) -> None:
    import json

    treefile = ostree.Treefile()
    treefile["selinux"] = False
    treefile["initramfs-args"] = ["--no-hostonly"]
    treefile["selinux-label-version"] = 1
    with treefile.as_tmp_file() as name:
        assert json.loads(Path(name).read_text()) == {
            "ref": "osbuild/devel",
            "repos": ["osbuild"],
            "selinux": False,
            "initramfs-args": ["--no-hostonly"],
            "selinux-label-version": 1,
        }
    assert not Path(name).exists()
    assert treefile["ref"] == "osbuild/devel"
    for key, value in (
        ("selinux", 1),
        ("selinux-label-version", True),
        ("repos", "one"),
        ("repos", [1]),
        ("other", "x"),
    ):
        with pytest.raises(ValueError):
            treefile[key] = value
