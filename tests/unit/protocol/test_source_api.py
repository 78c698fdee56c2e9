import pytest

from osbuild_core.model.results import SourceItemResult
from osbuild_core.protocol.jsoncomm import ProtocolError
from osbuild_core.protocol.source_api import download, parse_downloaded, parse_progress

GOOD = {"success": True, "metadata": {"checksum": "sha256:1", "cached": True}, "error": None}
BAD = {"success": False, "metadata": {"checksum": "sha256:2", "cached": False}, "error": "gone"}


def test_a_request_has_the_form_that_sources_read() -> None:
    assert download({"sha256:1": "u"}, {"o": 1}, "/cache") == {
        "items": {"sha256:1": "u"},
        "options": {"o": 1},
        "cache": "/cache",
        "output": None,
        "checksums": [],
    }


def test_results_are_read() -> None:
    done = parse_downloaded({"success": False, "results": [GOOD, BAD], "output": "text"}, [])
    assert done.items == (
        SourceItemResult("sha256:1", True, cached=True),
        SourceItemResult("sha256:2", False, error="gone"),
    )
    assert (done.success, done.output) == (False, "text")
    flat = parse_downloaded({"results": [{"checksum": "sha256:3", "success": True}]}, [])
    assert (flat.success, flat.items) == (True, (SourceItemResult("sha256:3", True),))


def test_a_source_that_says_nothing_has_fetched_all() -> None:
    assert parse_downloaded(None, ["a", "b"]).items == (
        SourceItemResult("a", True),
        SourceItemResult("b", True),
    )


@pytest.mark.parametrize("reply", [1, [], {"results": 1}, {"results": [1]}])
def test_other_replies_are_refused(reply: object) -> None:
    with pytest.raises(ProtocolError):
        parse_downloaded(reply, [])


def test_progress_is_read() -> None:
    progress = {"done": 1, "total": 2, "received": 300, "expected": 0}
    plain = parse_progress({"progress": progress})
    assert plain is not None and plain[:4] == (1, 2, 300, 0) and plain.item is None
    with_item = parse_progress({"progress": {**progress, "result": BAD}})
    assert with_item is not None and with_item.item == SourceItemResult("sha256:2", False, error="gone")
    for other in (None, 1, {}, {"other": 1}):
        assert parse_progress(other) is None
    with pytest.raises(ProtocolError):
        parse_progress({"progress": {"done": "many"}})
