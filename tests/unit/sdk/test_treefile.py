import importlib
import os
from pathlib import Path
from types import ModuleType

import pytest

SDK = Path(__file__).resolve().parents[3] / "osbuild_core" / "sdk"


@pytest.fixture
def treefile(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SDK))
    return importlib.import_module("osbuild.util.treefile")


def mode_of(path: Path) -> int:
    return path.lstat().st_mode & 0o7777


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "tree"
    path.mkdir()
    return path


def test_a_new_file_has_the_mode_whatever_the_umask(treefile: ModuleType, tree: Path) -> None:
    old = os.umask(0o077)
    try:
        treefile.write(str(tree), "/a/b/file", "text", 0o664)
    finally:
        os.umask(old)
    assert (tree / "a/b/file").read_text() == "text"
    assert mode_of(tree / "a/b/file") == 0o664
    assert mode_of(tree / "a/b") == mode_of(tree / "a") == 0o755


def test_an_old_file_keeps_its_mode(treefile: ModuleType, tree: Path) -> None:
    (tree / "file").write_text("a longer text")
    (tree / "file").chmod(0o600)
    treefile.write(str(tree), "file", "new")
    assert (tree / "file").read_text() == "new"
    assert mode_of(tree / "file") == 0o600


def test_write_follows_a_link_and_replace_does_not(treefile: ModuleType, tree: Path) -> None:
    (tree / "etc").mkdir()
    (tree / "etc/link").symlink_to("/etc/real")
    treefile.write(str(tree), "/etc/link", "one")
    assert (tree / "etc/real").read_text() == "one"
    treefile.replace(str(tree), "/etc/link", "two", 0o640)
    assert not (tree / "etc/link").is_symlink()
    assert mode_of(tree / "etc/link") == 0o640
    assert (tree / "etc/real").read_text() == "one"


def test_replace_leaves_other_names_of_a_file_alone(treefile: ModuleType, tree: Path) -> None:
    (tree / "one").write_text("old")
    os.link(tree / "one", tree / "two")
    treefile.replace(str(tree), "one", "new")
    assert (tree / "two").read_text() == "old"


def test_a_link_replaces_what_was_there(treefile: ModuleType, tree: Path) -> None:
    treefile.link(str(tree), "/etc/localtime", "../first")
    treefile.link(str(tree), "/etc/localtime", "../second")
    assert os.readlink(tree / "etc/localtime") == "../second"


def test_nothing_is_written_outside(treefile: ModuleType, tree: Path, tmp_path: Path) -> None:
    (tree / "away").symlink_to(tmp_path)
    (tree / "up").symlink_to("../../..")
    for folder in ("away", "up", "../.."):
        treefile.write(str(tree), f"{folder}/file", "text")
        treefile.replace(str(tree), f"{folder}/file2", "text")
        treefile.link(str(tree), f"{folder}/file3", "text")
        treefile.ensure_folder(str(tree), f"{folder}/file4")
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_reading(treefile: ModuleType, tree: Path) -> None:
    (tree / "file").write_bytes(b"caf\xe9")
    (tree / "link").symlink_to("/file")
    assert treefile.read(str(tree), "link") == "caf\udce9"
    assert treefile.read(str(tree), "missing") is None
    treefile.write(str(tree), "copy", treefile.read(str(tree), "link"))
    assert (tree / "copy").read_bytes() == b"caf\xe9"


def test_a_file_in_the_place_of_a_folder(treefile: ModuleType, tree: Path) -> None:
    (tree / "a").touch()
    with pytest.raises(OSError, match="a"):
        treefile.ensure_folder(str(tree), "a/b")
