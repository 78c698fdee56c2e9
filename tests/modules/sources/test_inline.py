"""org.osbuild.inline."""

import base64
import hashlib
import lzma
from pathlib import Path
from typing import Any

import pytest
from service_harness import running

from osbuild_core.protocol.source_api import Downloaded, download, parse_downloaded


def fetch(items: dict[str, Any], cache: Path) -> Downloaded:
    with running("sources", "inline") as service:
        reply = service.call("download", download(items, {}, str(cache)))
    return parse_downloaded(reply, list(items))


def item(content: bytes, encoding: str = "base64") -> tuple[str, dict[str, str]]:
    data = lzma.compress(content) if encoding == "lzma+base64" else content
    name = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return name, {"encoding": encoding, "data": base64.b64encode(data).decode()}


def test_content_is_written(tmp_path: Path) -> None:
    items = dict([item(b"plain"), item(b"packed" * 1000, "lzma+base64"), item(b"")])
    assert fetch(items, tmp_path).success
    assert sorted(path.read_bytes() for path in (tmp_path / "org.osbuild.files").iterdir()) == sorted(
        [b"plain", b"packed" * 1000, b""]
    )
    again = fetch(items, tmp_path)
    assert all(found.success and found.cached for found in again.items)


@pytest.mark.parametrize(
    "desc",
    [
        {"encoding": "base64", "data": "b3RoZXI="},
        {"encoding": "base64", "data": "not base64!"},
        {"encoding": "lzma+base64", "data": "b3RoZXI="},
        {"encoding": "rot13", "data": "x"},
    ],
)
def test_bad_data_fails_alone(desc: dict[str, str], tmp_path: Path) -> None:
    good, bad = item(b"good"), (f"sha256:{'0' * 64}", desc)
    done = fetch(dict([good, bad]), tmp_path)
    assert {found.checksum: found.success for found in done.items} == {good[0]: True, bad[0]: False}
    assert [path.name for path in (tmp_path / "org.osbuild.files").iterdir()] == [good[0]]
    assert [path.name for path in (tmp_path / ".partial").iterdir()] == []


def test_an_empty_file_in_the_place_of_a_full_one_is_replaced(tmp_path: Path) -> None:
    name, desc = item(b"content")
    folder = tmp_path / "org.osbuild.files"
    folder.mkdir()
    (folder / name).touch()
    assert fetch({name: desc}, tmp_path).success
    assert (folder / name).read_bytes() == b"content"
