import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.model.errors import StoreError
from osbuild_core.protocol import store_api
from osbuild_core.protocol.jsoncomm import Socket
from osbuild_core.protocol.store_api import StoreServer


class Shelf:
    """A small store: a directory with one directory per object."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shown: list[tuple[str, str, str]] = []
        self.threads: set[str] = set()

    def read_tree(self, object_id: str) -> Path:
        self.threads.add(threading.current_thread().name)
        if not (self.root / object_id).is_dir():
            raise StoreError(f"no object {object_id}")
        return self.root / object_id

    def read_tree_at(self, object_id: str, target: str, subtree: str) -> str:
        self.read_tree(object_id)
        self.shown.append((object_id, target, subtree))
        return target

    def mkdtemp(self, suffix: str | None, prefix: str | None) -> Path:
        path = self.root / f"{prefix or ''}new{suffix or ''}"
        path.mkdir()
        return path

    def source(self, name: str) -> str:
        if name == "bug":
            raise ZeroDivisionError("a bug")
        return os.fspath(self.root / "sources" / name)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "object").mkdir()
    return Shelf(tmp_path)


def ask(sock: Socket, request: object) -> Any:
    sock.send(request)
    packet = sock.recv()
    assert packet is not None
    packet[1].close()
    return packet[0]


def test_a_service_gets_paths(shelf: Shelf, tmp_path: Path, sdk: Callable[[str], Any]) -> None:
    with (
        StoreServer(tmp_path / "socket", shelf),
        sdk("objectstore").StoreClient(tmp_path / "socket") as client,
    ):
        assert client.read_tree("object") == str(tmp_path / "object")
        assert client.read_tree_at("object", tmp_path / "here") == str(tmp_path / "here")
        assert client.read_tree_at("object", tmp_path / "here", "sub/file") == str(tmp_path / "here")
        assert client.mkdtemp("-end", "start-") == str(tmp_path / "start-new-end")
        assert client.mkdtemp() == str(tmp_path / "new")
        assert client.source("files") == str(tmp_path / "sources" / "files")
    assert shelf.shown == [
        ("object", str(tmp_path / "here"), "/"),
        ("object", str(tmp_path / "here"), "sub/file"),
    ]


def test_both_sides_build_the_same_requests(shelf: Shelf, tmp_path: Path, sdk: Callable[[str], Any]) -> None:
    ours, theirs = Socket.pair()
    client = sdk("objectstore").StoreClient.__new__(sdk("objectstore").StoreClient)
    client.client = sdk("util.jsoncomm").Socket.new_from_fd(os.dup(theirs.fileno()))
    asked: list[Any] = []

    def answer() -> None:
        while (packet := ours.recv()) is not None:
            asked.append(packet[0])
            ours.send({"path": "/"})

    thread = threading.Thread(target=answer)
    thread.start()
    client.read_tree("id")
    client.read_tree_at("id", "/target", "/sub")
    client.mkdtemp("s", "p")
    client.source("files")
    client.close()
    theirs.close()
    thread.join(10)
    ours.close()
    assert asked == [
        store_api.read_tree("id"),
        store_api.read_tree_at("id", "/target", "/sub"),
        store_api.mkdtemp("s", "p"),
        store_api.source("files"),
    ]


def test_errors_are_told_and_the_connection_goes_on(
    shelf: Shelf, tmp_path: Path, sdk: Callable[[str], Any]
) -> None:
    with (
        StoreServer(tmp_path / "socket", shelf),
        sdk("objectstore").StoreClient(tmp_path / "socket") as client,
    ):
        with pytest.raises(RuntimeError, match="no object other"):
            client.read_tree("other")
        with pytest.raises(RuntimeError, match="ZeroDivisionError: a bug"):
            client.source("bug")
        client.mkdtemp()
        with pytest.raises(RuntimeError, match="exists"):
            client.mkdtemp()
        assert client.read_tree("object")


@pytest.mark.parametrize(
    "request_",
    [None, [], {}, {"method": "format-disk"}, {"method": "read-tree"}, {"method": "source", "name": 1}],
)
def test_nonsense_is_answered_with_an_error(request_: object, shelf: Shelf, tmp_path: Path) -> None:
    with StoreServer(tmp_path / "socket", shelf), Socket.connect(tmp_path / "socket") as sock:
        assert set(ask(sock, request_)) == {"error"}
        assert ask(sock, store_api.source("files"))["path"]


def test_many_connections_are_served_by_one_thread(shelf: Shelf, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    with StoreServer(tmp_path / "socket", shelf):
        clients = [Socket.connect(tmp_path / "socket") for _ in range(30)]
        for client in clients + clients[::-1]:
            assert ask(client, store_api.read_tree("object"))["path"]
        for client in clients:
            client.close()
    assert len(shelf.threads) == 1
    assert not (tmp_path / "socket").exists()
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


def test_leaving_ends_connections(shelf: Shelf, tmp_path: Path) -> None:
    with StoreServer(tmp_path / "socket", shelf):
        client = Socket.connect(tmp_path / "socket")
        assert ask(client, store_api.read_tree("object"))["path"]
    with client:
        assert client.recv() is None
