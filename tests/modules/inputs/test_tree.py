"""org.osbuild.tree."""

from pathlib import Path

import pytest
from service_harness import running

from osbuild_core.protocol.service import RemoteError
from osbuild_core.protocol.store_api import StoreServer

from .shelf import Shelf, request


def test_the_tree_is_shown_at_the_target(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    with StoreServer(tmp_path / "socket", shelf), running("inputs", "tree") as service:
        reply = service.call("map", request(tmp_path, "org.osbuild.pipeline", {"id": {}}))
    assert reply == {"path": str(tmp_path / "target")}
    assert shelf.shown == [("id", str(tmp_path / "target"), "/")]


def test_it_is_one_tree(tmp_path: Path) -> None:
    with StoreServer(tmp_path / "socket", Shelf(tmp_path)), running("inputs", "tree") as service:
        for refs in ({}, {"a": {}, "b": {}}):
            with pytest.raises(RemoteError):
                service.call("map", request(tmp_path, "org.osbuild.pipeline", refs))
