from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .harness import as_root, mode_of
from .raw import run_raw

TIME = 1_500_000_000


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """What the archive has."""
    path = tmp_path / "content"
    for name in ("bin", "etc/new"):
        (path / name).mkdir(parents=True)
    (path / "bin/program").write_text("program")
    (path / "bin/program").chmod(0o755)
    (path / "etc/file").write_text("from the archive")
    (path / "etc/link").symlink_to("/elsewhere")
    os.link(path / "etc/file", path / "etc/new/hard")
    for name in ("bin/program", "etc/file", "etc/new", "etc", "bin", "."):
        os.utime(path / name, (TIME, TIME))
    return path


def unpack(
    tree: Path,
    content: Path,
    *,
    members: tuple[str, ...] = (".",),
    compress: str = "--gzip",
    **options: object,
) -> str:
    folder = tree.parent / "folder"
    folder.mkdir(exist_ok=True)
    command = ["tar", "--create", compress, "--file", str(folder / "sha256:1"), "--directory", str(content)]
    subprocess.run(
        [*command, "--acls", "--xattrs", "--xattrs-include=*", "--force-local", *members], check=True
    )
    ended = run_raw("untar", tree, options, files={"file": folder})
    assert ended.status == 0, ended.log
    assert not list(tree.rglob(".untar-*"))
    return ended.log


@pytest.mark.parametrize("compress", ["--no-auto-compress", "--gzip", "--xz", "--zstd"])
def test_an_empty_tree_gets_the_content(tree: Path, content: Path, compress: str) -> None:
    unpack(tree, content, compress=compress)
    assert (tree / "etc/file").read_text() == "from the archive"
    assert os.readlink(tree / "etc/link") == "/elsewhere"
    assert (tree / "etc/file").samefile(tree / "etc/new/hard")
    assert mode_of(tree / "bin/program") == 0o755
    assert {(tree / name).stat().st_mtime for name in (".", "etc", "etc/file")} == {TIME}


def test_a_prefix_is_made(tree: Path, content: Path) -> None:
    unpack(tree, content, prefix="/srv/www")
    assert (tree / "srv/www/bin/program").read_text() == "program"
    assert os.listdir(tree) == ["srv"]


def test_what_is_there_is_merged(tree: Path, content: Path) -> None:
    (tree / "etc").mkdir(mode=0o700)
    for name in ("file", "kept"):
        (tree / "etc" / name).write_text("old")
    (tree / "etc/link").symlink_to("kept")
    (tree / "etc/new").touch()
    unpack(tree, content)
    assert sorted(os.listdir(tree / "etc")) == ["file", "kept", "link", "new"]
    assert (tree / "etc/file").read_text() == "from the archive"
    assert (tree / "etc/kept").read_text() == "old"
    assert os.readlink(tree / "etc/link") == "/elsewhere"
    assert (tree / "etc/file").samefile(tree / "etc/new/hard")
    assert mode_of(tree / "etc") == 0o755
    assert {(tree / name).stat().st_mtime for name in (".", "etc", "etc/new")} == {TIME}


def test_a_directory_that_the_archive_does_not_have_keeps_its_attributes(tree: Path, content: Path) -> None:
    (tree / "etc").mkdir()
    (tree / "etc").chmod(0o711)
    tree.chmod(0o1777)
    unpack(tree, content, members=("etc/file",))
    assert (mode_of(tree), mode_of(tree / "etc")) == (0o1777, 0o755)
    assert (tree / "etc/file").read_text() == "from the archive"


def test_a_link_to_a_directory_stays_and_is_followed(tree: Path, content: Path) -> None:
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "bin").symlink_to("usr/bin")
    unpack(tree, content)
    assert os.readlink(tree / "bin") == "usr/bin"
    assert (tree / "usr/bin/program").read_text() == "program"


@pytest.mark.parametrize("members", [(".",), ("etc/file",)])
def test_links_of_the_tree_do_not_lead_out(
    tree: Path, content: Path, tmp_path: Path, members: tuple[str, ...]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    inside = tree / outside.relative_to("/")
    inside.mkdir(parents=True)
    (tree / "etc").symlink_to(outside)
    unpack(tree, content, members=members)
    assert os.listdir(outside) == []
    assert (inside / "file").read_text() == "from the archive"


def test_links_of_the_archive_do_not_lead_out(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for name, kind in (("one", "link"), ("two", "folder")):
        made = tmp_path / name
        made.mkdir()
        if kind == "link":
            (made / "away").symlink_to(outside)
        else:
            (made / "away").mkdir()
            (made / "away/file").write_text("content")
    archive = tmp_path / "both.tar"
    subprocess.run(["tar", "-cf", archive, "-C", tmp_path / "one", "away"], check=True)
    subprocess.run(["tar", "-rf", archive, "-C", tmp_path / "two", "away/file"], check=True)
    folder = tmp_path / "folder"
    folder.mkdir()
    archive.rename(folder / "both.tar")
    (tree / "present").touch()
    run_raw("untar", tree, {}, files={"file": folder})
    assert os.listdir(outside) == []


def test_a_full_directory_is_not_replaced(tree: Path, content: Path) -> None:
    (tree / "etc/file/full").mkdir(parents=True)
    folder = tree.parent / "folder"
    folder.mkdir()
    subprocess.run(["tar", "-cf", folder / "archive", "-C", content, "."], check=True)
    ended = run_raw("untar", tree, {}, files={"file": folder})
    assert ended.status != 0
    assert "Directory not empty" in ended.log


@pytest.mark.root
@as_root
def test_names_of_owners_mean_nothing(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "file").touch()
    command = ["tar", "-cf", str(folder / "archive"), "-C", str(tmp_path), "--owner=daemon:4242", "file"]
    subprocess.run(command, check=True)
    ended = run_raw("untar", tree, {}, files={"file": folder})
    assert ended.status == 0, ended.log
    assert (tree / "file").stat().st_uid == 4242


def test_what_is_no_archive_is_refused(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "text").write_text("no archive" * 1000)
    ended = run_raw("untar", tree, {}, files={"file": folder})
    assert ended.status != 0
    assert "tar failed with exit status 2" in ended.log


@pytest.mark.root
@as_root
@pytest.mark.parametrize("on_top", [False, True])
def test_owners_capabilities_and_attributes(tree: Path, content: Path, on_top: bool) -> None:
    program = content / "bin/program"
    os.chown(program, 1234, 4321)
    program.chmod(0o4755)
    os.setxattr(program, "trusted.note", b"kept")
    subprocess.run(["setfacl", "-m", "u:77:rwx", content / "etc/file"], check=True)
    os.chown(content / "bin", 7, 8)
    os.setxattr(content / "bin", "user.note", b"kept")
    if on_top:
        (tree / "bin").mkdir()
    unpack(tree, content)
    found = (tree / "bin/program").stat()
    assert (found.st_uid, found.st_gid, mode_of(tree / "bin/program")) == (1234, 4321, 0o4755)
    assert os.getxattr(tree / "bin/program", "trusted.note") == b"kept"
    assert "system.posix_acl_access" in os.listxattr(tree / "etc/file")
    found = (tree / "bin").stat()
    assert (found.st_uid, found.st_gid, os.getxattr(tree / "bin", "user.note")) == (7, 8, b"kept")
