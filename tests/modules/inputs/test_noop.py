"""org.osbuild.noop, the input."""

from pathlib import Path

from service_harness import running

from osbuild_core.protocol.store_api import StoreServer

from .shelf import Shelf, request


def test_nothing_is_given(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    with StoreServer(tmp_path / "socket", shelf), running("inputs", "noop") as service:
        reply = service.call("map", request(tmp_path, "org.osbuild.pipeline", {"any": {}, "thing": {}}))
    assert reply == {"path": str(tmp_path / "target"), "data": {}}
    assert list((tmp_path / "target").iterdir()) == []
    assert shelf.shown == []
