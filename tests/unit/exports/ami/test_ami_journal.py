"""The journal of an upload, and which blocks are to be written."""

from __future__ import annotations

import pytest

from osbuild_core.exports.ami import journal
from osbuild_core.exports.ami.ebs import BLOCK, changed_blocks
from osbuild_core.exports.aws.file import ZERO, Scan
from osbuild_core.exports.aws.state import State

HEADER = journal.Header("name", "us-east-1", "0" * 64, "snap-1", 0)
A, B, C = (letter * 32 for letter in (b"a", b"b", b"c"))


def test_what_was_written_is_known_afterwards(tmp_path):
    state = State(tmp_path)
    book = journal.Journal.create(state, HEADER, {3: A})
    book.add(7, B)
    book.close()
    assert journal.read(state, "us-east-1", "name") == journal.Record(HEADER, {3: A, 7: B}, False)
    assert list(journal.headers(state)) == [HEADER]
    book = journal.Journal.create(state, HEADER, {3: A})
    book.seal()
    book.close()
    assert journal.read(state, "us-east-1", "name") == journal.Record(HEADER, {3: A}, True)
    journal.remove(state, "us-east-1", "name")
    assert journal.read(state, "us-east-1", "name") is None


@pytest.mark.parametrize("cut", range(1, 36, 7))
def test_a_record_that_was_cut_short_counts_for_nothing(tmp_path, cut):
    state = State(tmp_path)
    book = journal.Journal.create(state, HEADER, {})
    book.add(3, A)
    book.add(7, B)
    book.close()
    (path,) = (tmp_path / "uploads").iterdir()
    path.write_bytes(path.read_bytes()[:-cut])
    found = journal.read(state, "us-east-1", "name")
    assert found is not None and found.blocks == {3: A}


@pytest.mark.parametrize("data", [b"", b"{", b'{"name": "x"}\n', b"[]\n", b'{"name"'])
def test_what_is_no_journal(tmp_path, data):
    state = State(tmp_path)
    journal.Journal.create(state, HEADER, {}).close()
    (path,) = (tmp_path / "uploads").iterdir()
    path.write_bytes(data)
    assert journal.read(state, "us-east-1", "name") is None
    assert list(journal.headers(state)) == []


@pytest.mark.parametrize(
    ("blocks", "base", "everything", "wanted"),
    [
        ((A, ZERO, B), None, False, [0, 2]),
        ((A, ZERO, B), (A, ZERO, B), False, []),
        ((A, ZERO, B), (A, C, B), False, [1]),
        ((A, ZERO, C), (A, ZERO, B), False, [2]),
        # Of a shorter parent nothing follows; behind the end of the image a longer one may have had data.
        ((A, ZERO, B), (A,), False, [2]),
        ((A, ZERO), (B, ZERO, C), False, [0, 2]),
        ((A, ZERO, B), None, True, list(range(1 << 11))),
    ],
)
def test_blocks_to_write(blocks, base, everything, wanted):
    scan = Scan("", BLOCK, blocks)
    assert changed_blocks(scan, base, everything=everything) == wanted
