import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.protocol.jsoncomm import MAX_FDS, VIA_FD, ProtocolError, Socket

SMALL = {"text": "grüße", "list": [1, 2.5, None, True], "nested": {"a": {}}}
LARGE = {"text": "x" * 10_000_000}


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def received(sock: Socket) -> tuple[Any, list[bytes]]:
    packet = sock.recv()
    assert packet is not None
    payload, fds = packet
    with fds:
        return payload, [os.pread(fd, 100, 0) for fd in fds]


@pytest.fixture
def files(tmp_path: Path) -> list[int]:
    fds = []
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
        fds.append(os.open(tmp_path / name, os.O_RDONLY))
    return fds


@pytest.mark.parametrize("payload", [SMALL, LARGE, [], "text", None])
def test_a_document_arrives_with_its_descriptors(payload: object, files: list[int]) -> None:
    before = open_fds()
    one, other = Socket.pair()
    with one, other:
        one.send(payload, files)
        assert received(other) == (payload, [b"one", b"two"])
        one.send(payload)
        assert received(other) == (payload, [])
    assert open_fds() == before


@pytest.mark.parametrize("length", [1_000, 127_000, 129_000, 212_000, 213_000, 5_000_000])
@pytest.mark.parametrize("to_sdk", [True, False])
def test_the_sdk_speaks_the_same(
    length: int, to_sdk: bool, files: list[int], sdk: Callable[[str], Any]
) -> None:
    payload = {"text": "y" * length}
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with Socket(one) as ours, sdk("util.jsoncomm").Socket(other) as theirs:
        if to_sdk:
            ours.send(payload, files)
            document, fds, _ = theirs.recv()
            with fds:
                assert [os.pread(fds[i], 100, 0) for i in range(len(fds))] == [b"one", b"two"]
            assert document == payload
        else:
            theirs.send(payload, files)
            assert received(ours) == (payload, [b"one", b"two"])


@pytest.mark.parametrize("payload", [SMALL, LARGE])
def test_packets_of_engine_and_sdk_are_equal(
    payload: object, files: list[int], sdk: Callable[[str], Any]
) -> None:
    packets = []
    for kind in (Socket, sdk("util.jsoncomm").Socket):
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with kind(one) as sender, other:
            sender.send(payload, files)
            data, fds, _, _ = socket.recv_fds(other, 1 << 20, 10)
            content = [os.pread(fd, 1 << 24, 0) for fd in fds]
            for fd in fds:
                os.close(fd)
            packets.append((data, content))
    assert packets[0] == packets[1]
    assert (packets[0][0] == VIA_FD) == (payload is LARGE)


def test_the_end_of_the_other_side_is_no_document() -> None:
    one, other = Socket.pair()
    with other:
        one.send(SMALL)
        one.close()
        assert received(other) == (SMALL, [])
        assert other.recv() is None
        with pytest.raises(BrokenPipeError):
            other.send(SMALL)


def test_shutdown_wakes_a_reader() -> None:
    one, other = Socket.pair()
    with one, other:
        results: list[object] = []
        thread = threading.Thread(target=lambda: results.append(one.recv()))
        thread.start()
        one.shutdown()
        thread.join(10)
        assert results == [None]
        assert other.recv() is None
        one.shutdown()


@pytest.mark.parametrize("data", [b"{", b"\xff\xfe", b"[" * 100_000, VIA_FD])
def test_what_is_no_json_is_refused_and_its_descriptors_closed(data: bytes, files: list[int]) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, Socket(other) as sock:
        before = open_fds()
        if data == VIA_FD:
            one.send(data)
        else:
            socket.send_fds(one, [data], files)
        with pytest.raises(ProtocolError):
            sock.recv()
        assert open_fds() == before


def test_a_time_limit_holds() -> None:
    one, other = Socket.pair()
    with one, other:
        one.settimeout(0.01)
        with pytest.raises(TimeoutError):
            one.recv()


def test_too_many_descriptors_are_refused(files: list[int]) -> None:
    one, other = Socket.pair()
    with one, other:
        one.send(SMALL, files[:1] * (MAX_FDS - 1))
        assert len(received(other)[1]) == MAX_FDS - 1
        with pytest.raises(ValueError):
            one.send(SMALL, files[:1] * MAX_FDS)


def test_descriptors_can_be_taken(files: list[int]) -> None:
    one, other = Socket.pair()
    with one, other:
        one.send(SMALL, files)
        packet = other.recv()
        assert packet is not None
        fds = packet[1]
        kept = fds.take(0)
        with pytest.raises(IndexError):
            fds[0]
        fds.close()
        assert os.pread(kept, 10, 0) == b"one"
        assert not os.get_inheritable(kept)
        os.close(kept)


@pytest.mark.parametrize("depth", [1, 20])
def test_sockets_have_paths_of_any_length(depth: int, tmp_path: Path, sdk: Callable[[str], Any]) -> None:
    folder = tmp_path.joinpath(*["directory"] * depth)
    folder.mkdir(parents=True)
    path = folder / "socket"
    with Socket.listen(path) as listener:
        for connect in (Socket.connect, sdk("util.jsoncomm").Socket.new_client):
            with connect(path) as client:
                connection = listener.accept()
                assert connection is not None
                with connection:
                    client.send(SMALL)
                    assert received(connection) == (SMALL, [])
        listener.settimeout(0)
        assert listener.accept() is None
    with pytest.raises(OSError):
        Socket.connect(path)
    with pytest.raises(OSError):
        Socket.listen(path)
