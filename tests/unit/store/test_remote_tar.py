"""The tar of a cache entry: what is written is read again, and what we do not write is refused."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbuild_core.model.errors import StoreError
from osbuild_core.store.remote.changes import Changes, everything
from osbuild_core.store.remote.member import Member
from osbuild_core.store.remote.pack import pack
from osbuild_core.store.remote.tarreader import Reader
from osbuild_core.store.remote.tarwriter import write_end, write_member, write_padding
from osbuild_core.store.remote.unpack import unpack

NAMES = st.binary(min_size=1, max_size=120).map(
    lambda name: os.fsdecode(name.replace(b"/", b"_").replace(b"\0", b"_"))
)
PATHS = st.lists(NAMES.filter(lambda name: name not in (".", "..")), min_size=1, max_size=4).map("/".join)
XATTRS = st.dictionaries(
    st.text("abc=%.ö", min_size=1, max_size=20).map("user.".__add__), st.binary(max_size=200), max_size=3
)


def written(*members: tuple[Member, bytes]) -> bytes:
    out = io.BytesIO()
    for member, data in members:
        write_member(out, member)
        out.write(data)
        write_padding(out, len(data))
    write_end(out)
    return out.getvalue()


@given(
    PATHS,
    st.sampled_from(["file", "directory", "symlink", "fifo", "socket", "block", "character", "same"]),
    st.integers(0, 0o7777),
    st.integers(0, 2**32 - 2),
    st.integers(-(10**18), 10**19),
    XATTRS,
    st.integers(0, 3).map(lambda bits: bits << 4),
)
def test_every_member_comes_back(path, kind, mode, owner, mtime, xattrs, flags):
    member = Member(
        path,
        kind,
        mode=mode,
        uid=owner,
        gid=owner // 2,
        mtime=mtime,
        target=f"{path}/{path}" if kind in ("symlink", "same") else "",
        device=os.makedev(259, 70000) if kind in ("block", "character") else 0,
        xattrs=xattrs,
        flags=flags if kind in ("file", "directory") else 0,
    )
    assert list(Reader(io.BytesIO(written((member, b""))))) == [member]


@given(PATHS, st.binary(max_size=3000))
def test_data_comes_back_and_may_be_passed_over(path, data):
    whole = written(
        (Member(path, "file", size=len(data)), data),
        (Member(path, "gone"), b""),
        (Member(path, "opaque"), b""),
    )
    reader = Reader(io.BytesIO(whole))
    assert [(member.path, member.kind) for member in reader] == [
        (path, "file"),
        (path, "gone"),
        (path, "opaque"),
    ]
    reader = Reader(io.BytesIO(whole))
    next(iter(reader))
    assert b"".join(iter(reader.data, b"")) == data


def test_sizes_that_have_no_room_in_a_header():
    out = io.BytesIO()
    write_member(out, Member("large", "file", size=20 << 30))
    out.seek(0)
    assert next(iter(Reader(out))).size == 20 << 30
    out.seek(0)
    with tarfile.open(fileobj=out) as archive:
        assert archive.next().size == 20 << 30


def test_holes_are_where_they_were():
    segments = [(4096, 3), (1 << 40, 2)]
    member = Member("sparse", "file", size=1 << 41, segments=segments)
    reader = Reader(io.BytesIO(written((member, b"abcde"))))
    assert next(iter(reader)) == member
    assert reader.data() == b"abcde"
    with tarfile.open(fileobj=io.BytesIO(written((member, b"abcde")))) as archive:
        assert archive.getmember("sparse").size == 1 << 41


GOOD = written((Member("", "directory", mode=0o755), b""), (Member("file", "file", size=5), b"hello"))


@pytest.mark.parametrize("position", range(0, len(GOOD) - 1, 7))
def test_a_flipped_bit_or_an_end_too_early_is_found_or_does_no_harm(position, tmp_path):
    for damaged in (GOOD[:position], GOOD[:position] + bytes([GOOD[position] ^ 4]) + GOOD[position + 1 :]):
        try:
            members = list(Reader(io.BytesIO(damaged)))
        except StoreError as error:
            assert error.code == "remote.damaged"
        else:
            # In the data, or in what fills up the blocks: the digest of the whole tells.
            assert [member.path for member in members] == ["", "file"]


ROOT = (Member("", "directory", mode=0o755), b"")
HOSTILE = {
    "a path out": [ROOT, (Member("../out", "file"), b"")],
    "an absolute path": [ROOT, (Member("/out", "file"), b"")],
    "a dot": [ROOT, (Member("a/./b", "file"), b"")],
    "no directory before": [ROOT, (Member("a/b", "file"), b"")],
    "no root": [(Member("file", "file"), b"")],
    "through a link": [ROOT, (Member("a", "symlink", target="../.."), b""), (Member("a/out", "file"), b"")],
    "through a link that is there": [ROOT, (Member("there/out", "file"), b"")],
    "twice": [ROOT, (Member("a", "symlink", target="../out"), b""), (Member("a", "file"), b"")],
    "directory twice": [ROOT, (Member("a", "symlink", target="../.."), b""), (Member("a", "directory"), b"")],
    "a hard link out": [ROOT, (Member("a", "same", target="../out"), b"")],
    "a hard link to what is there": [ROOT, (Member("a", "same", target="file"), b"")],
    "gone out": [ROOT, (Member("..", "gone"), b"")],
    "gone below a link": [ROOT, (Member("there/out", "gone"), b"")],
    "emptied below a link": [ROOT, (Member("there", "opaque"), b"")],
    "the root gone": [ROOT, (Member("", "gone"), b"")],
    "a file as root": [(Member("", "file"), b"")],
}


@pytest.mark.parametrize("case", HOSTILE)
def test_nothing_gets_out_of_the_tree(case, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tmp_path / "out").write_text("safe")
    (tree / "file").write_text("old")
    (tree / "there").symlink_to("..")
    with pytest.raises(StoreError) as caught:
        unpack(Reader(io.BytesIO(written(*HOSTILE[case]))), str(tree), flags=False)
    assert caught.value.code == "remote.damaged"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "tree"]
    assert (tmp_path / "out").read_text() == "safe"


def test_a_tree_is_the_same_elsewhere_and_for_python(tmp_path: Path):
    """As whoever runs the tests: no root is needed for what is theirs."""
    tree, other = tmp_path / "tree", tmp_path / "other"
    (tree / "a/b").mkdir(parents=True)
    other.mkdir()
    (tree / "a/b/file").write_text("content")
    (tree / "a/.wh.file").write_text("no whiteout")
    os.link(tree / "a/b/file", tree / "link")
    out = io.BytesIO()
    assert not any(pack(str(tree), everything(str(tree)), out, flags=False))
    out.seek(0)
    unpack(Reader(out), str(other), flags=False)
    assert (other / "a/.wh.file").read_text() == "no whiteout"
    assert (other / "link").samefile(other / "a/b/file")
    for path in (tree, *tree.rglob("*")):
        assert path.stat().st_mtime_ns == (other / path.relative_to(tree)).stat().st_mtime_ns
    out.seek(0)
    with tarfile.open(fileobj=out) as archive:
        assert archive.getnames() == [".", "a", "a/.wh.file", "a/b", "a/b/file", "link"]


def test_changes_are_in_order():
    changes = Changes(there={"", "a", "a/b", "a-b"}, gone={"a/a"})
    assert list(changes.ordered()) == [
        ("", True),
        ("a", True),
        ("a/a", False),
        ("a/b", True),
        ("a-b", True),
    ]
