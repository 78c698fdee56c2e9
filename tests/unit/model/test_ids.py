"""The ids against figures worked out by hand, from the parts that DESIGN section 6 names."""

from __future__ import annotations

import hashlib
import json

from osbuild_core.model import ids


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_stage():
    assert ids.stage_id("t", None, None, {}) == sha('"t"nullnull{}')
    assert ids.stage_id("t", "b", "p", {"y": [1, 2], "x": "ü"}) == sha(
        '"t""b""p"{"x": "\\u00fc", "y": [1, 2]}'
    )
    assert ids.stage_id(
        "t", None, None, {}, source_epoch=0, inputs={"b": "2", "a": "1"}, mounts=["m", "l"]
    ) == sha('"t"nullnull{}0{"a": "1", "b": "2"}["m", "l"]')


def test_an_input():
    assert ids.input_id("t", "o", {"b": {}, "a": {"f": 1}}, {}) == sha('"t""o"{"a": {"f": 1}, "b": {}}{}')


def test_a_device():
    assert ids.device_id("t", None, {"s": 1}) == sha('"t"{"s": 1}')
    assert ids.device_id("t", "p", {"s": 1}) == sha('"t""p"{"s": 1}')


def test_a_mount():
    assert ids.mount_id("t", "d", 2, "/", {}) == sha('"t""d"2"/"{}')
    assert ids.mount_id("t", None, None, "/", {}) == sha('"t""/"{}')
    assert ids.mount_id("t", None, None, None, {}) == sha('"t"{}')


def test_a_source():
    assert ids.source_id("t", {"b": 1, "a": 2}) == sha('"t"{"a": 2, "b": 1}')


def test_many_references_are_one_object():
    refs = {f"sha256:{sha(str(number))}": {"metadata": {"a": number}} for number in range(1000)}
    assert ids.input_id("t", "o", refs, {}) == sha('"t""o"' + json.dumps(refs, sort_keys=True) + "{}")
