import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from .harness import apply, as_root, mode_of, refuse

EPOCH = 1_600_000_000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.mkdir()
    for name in ("c", "a", "b"):
        (path / name).mkdir()
        (path / name / "file").write_text(name)
        os.utime(path / name / "file", (1_500_000_000, 1_500_000_000))
    (path / "-dash").touch()
    (path / "link").symlink_to("a/file")
    os.link(path / "a/file", path / "hard")
    return path


def pack(tree: Path, source: Path, epoch: int | None = None, **options: object) -> Path:
    filename = str(options.pop("filename", "out.tar"))
    apply("tar", tree, {"filename": filename, **options}, inputs={"tree": source}, epoch=epoch)
    return tree / filename


def names(archive: Path) -> list[str]:
    result = subprocess.run(["tar", "-tf", archive], stdout=subprocess.PIPE, text=True, check=True)
    return result.stdout.splitlines()


def test_the_whole_tree_sorted(tree: Path, source: Path) -> None:
    everything = [
        "./",
        "./-dash",
        "./a/",
        "./a/file",
        "./b/",
        "./b/file",
        "./c/",
        "./c/file",
        "./hard",
        "./link",
    ]
    assert names(pack(tree, source)) == everything


def test_without_the_root_node(tree: Path, source: Path) -> None:
    listed = names(pack(tree, source, **{"root-node": "omit"}))
    assert listed == ["-dash", "a/", "a/file", "b/", "b/file", "c/", "c/file", "hard", "link"]


def test_an_empty_tree(tree: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert names(pack(tree, empty, **{"root-node": "omit"})) == []


def test_only_some_paths_in_their_order(tree: Path, source: Path) -> None:
    assert names(pack(tree, source, paths=["c/file", "-dash", "a"])) == ["c/file", "-dash", "a/", "a/file"]


def test_names_can_be_transformed(tree: Path, source: Path) -> None:
    assert names(pack(tree, source, paths=["a/file"], transform="s,^,image/,")) == ["image/a/file"]


@pytest.mark.parametrize(
    ("filename", "compression", "magic"),
    [
        ("out.tar.xz", "auto", b"\xfd7zXZ"),
        ("out.tar.gz", "auto", b"\x1f\x8b"),
        ("out.tar.zst", "auto", b"\x28\xb5\x2f\xfd"),
        ("out", "xz", b"\xfd7zXZ"),
        ("out", "gzip", b"\x1f\x8b"),
        ("out", "zstd", b"\x28\xb5\x2f\xfd"),
    ],
)
def test_compression(tree: Path, source: Path, filename: str, compression: str, magic: bytes) -> None:
    archive = pack(tree, source, filename=filename, compression=compression)
    assert archive.read_bytes().startswith(magic)
    assert "./a/file" in names(archive)


@pytest.mark.parametrize("filename", ["out.tar", "out.tar.xz", "out.tar.gz", "out.tar.zst"])
def test_the_same_tree_gives_the_same_bytes(tmp_path: Path, source: Path, filename: str) -> None:
    archives = []
    for name in ("first", "second"):
        tree = tmp_path / name
        tree.mkdir()
        # Times of access and change differ, the order of the directory may.
        (source / "a/file").chmod(0o644)
        (source / "b/file").rename(source / "b/other")
        (source / "b/other").rename(source / "b/file")
        archives.append(pack(tree, source, epoch=EPOCH, filename=filename).read_bytes())
    assert archives[0] == archives[1]


def test_no_time_is_later_than_the_epoch(tree: Path, source: Path) -> None:
    with tarfile.open(pack(tree, source, epoch=EPOCH)) as archive:
        times = {member.name: member.mtime for member in archive}
    assert times["./a/file"] == 1_500_000_000
    assert times["./link"] == EPOCH


@pytest.mark.root
@as_root
def test_owners_modes_attributes_and_acls_are_kept(tree: Path, source: Path, tmp_path: Path) -> None:
    file = source / "a/file"
    os.chown(file, 1234, 4321)
    file.chmod(0o4711)
    os.setxattr(file, "trusted.note", b"kept")
    subprocess.run(["setfacl", "-m", "u:77:rwx", source / "b/file"], check=True)
    archive = pack(tree, source)
    back = tmp_path / "back"
    back.mkdir()
    command = [
        "tar",
        "-xpf",
        archive,
        "-C",
        back,
        "--numeric-owner",
        "--acls",
        "--xattrs",
        "--xattrs-include=*",
    ]
    subprocess.run(command, check=True)
    found = (back / "a/file").stat()
    assert (found.st_uid, found.st_gid, mode_of(back / "a/file")) == (1234, 4321, 0o4711)
    assert os.getxattr(back / "a/file", "trusted.note") == b"kept"
    assert "system.posix_acl_access" in os.listxattr(back / "b/file")


@pytest.mark.parametrize("tar_format", ["gnu", "oldgnu", "posix", "ustar", "v7"])
def test_all_formats(tree: Path, source: Path, tar_format: str) -> None:
    plain = {"acls": False, "selinux": False, "xattrs": False}
    archive = pack(tree, source, format=tar_format, **plain, **{"numeric-owner": True})
    magic = {"gnu": b"ustar  \0", "oldgnu": b"ustar  \0", "posix": b"ustar\x0000", "ustar": b"ustar\x0000"}
    assert archive.read_bytes()[257:265] == magic.get(tar_format, bytes(8))
    assert "./a/file" in names(archive)
    assert "./a/file" in names(pack(tree, source, filename="rich.tar", format=tar_format))


def test_holes_can_be_left_out(tree: Path, source: Path) -> None:
    with (source / "hole").open("w") as file:
        file.truncate(1 << 24)
    full = pack(tree, source, filename="full.tar").stat().st_size
    sparse = pack(tree, source, filename="sparse.tar", sparse=True).stat().st_size
    assert sparse < 1 << 20 < full


@pytest.mark.parametrize("path", ["../outside", "away/outside"])
def test_paths_do_not_lead_out(tree: Path, source: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "outside").touch()
    (source / "away").symlink_to(tmp_path)
    options = {"filename": "out.tar", "paths": [path]}
    assert "is not in the tree" in refuse("tar", tree, options, inputs={"tree": source})
