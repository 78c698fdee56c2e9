"""org.osbuild.tar, the assembler; what archives are like in detail is tested with the stage of that name."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from .harness import Assembly

pytestmark = pytest.mark.root

EPOCH = 1_600_000_000
MAGIC = {None: b"./\0", "gzip": b"\x1f\x8b", "xz": b"\xfd7zXZ", "bzip2": b"BZh"}


@pytest.mark.parametrize("compression", MAGIC)
def test_the_archive_has_the_tree(assembly: Assembly, compression: str | None) -> None:
    """The name says nothing about the compression, unlike with the stage."""
    motd = assembly.add("etc/motd", "hello\n", 0o640)
    os.chown(motd, 7, 8)
    os.setxattr(motd, "user.note", b"x")
    (assembly.tree / "bin").symlink_to("usr/bin")
    options = {"filename": "tree.tar.gz"} | ({"compression": compression} if compression else {})
    assembly.make("tar", options, epoch=EPOCH)
    path = assembly.output / "tree.tar.gz"
    if compression != "gzip":
        assert not path.read_bytes().startswith(MAGIC["gzip"])
    with tarfile.open(path) as archive:
        assert archive.getnames() == [".", "./bin", "./etc", "./etc/motd"]
        member = archive.getmember("./etc/motd")
        assert (member.mode, member.uid, member.gid) == (0o640, 7, 8)
        assert member.pax_headers["SCHILY.xattr.user.note"] == "x"
        assert archive.getmember("./bin").linkname == "usr/bin"
        assert max(float(one.mtime) for one in archive) <= EPOCH
    if compression:
        assert path.read_bytes().startswith(MAGIC[compression])


def test_attributes_stay_behind_where_they_are_not_wanted(assembly: Assembly) -> None:
    os.setxattr(assembly.add("motd"), "user.note", b"x")
    assembly.make("tar", {"filename": "tree.tar", "xattrs": False})
    with tarfile.open(assembly.output / "tree.tar") as archive:
        assert not [key for key in archive.getmember("./motd").pax_headers if "xattr" in key]


def test_the_name_stays_in_the_output(assembly: Assembly) -> None:
    outside = Path("/etc/no such archive.tar")
    (assembly.output / "tree.tar").symlink_to(outside)
    (assembly.output / "etc").mkdir()
    assembly.make("tar", {"filename": "tree.tar"})
    assert tarfile.is_tarfile(assembly.output / outside.relative_to("/"))
    assert not outside.exists()
