import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from osbuild_core.model.errors import ServiceError
from osbuild_core.protocol import service
from osbuild_core.protocol.jsoncomm import ProtocolError, Socket
from osbuild_core.protocol.service import RemoteError, ServiceClient


@contextmanager
def answering(*answers: object) -> Iterator[tuple[ServiceClient, list[Any]]]:
    """A client whose other side sends ``answers`` when it is asked, and ends when there are none."""
    ours, theirs = Socket.pair()
    asked: list[Any] = []

    def answer() -> None:
        with theirs:
            packet = theirs.recv()
            if packet is not None:
                asked.append(packet[0])
                packet[1].close()
                for message in answers:
                    theirs.send(message)

    thread = threading.Thread(target=answer)
    thread.start()
    with ServiceClient(ours) as client:
        yield client, asked
    thread.join(10)
    assert not thread.is_alive()


def test_signals_come_before_the_reply() -> None:
    heard: list[Any] = []
    with answering(service.signal(1), service.signal({"two": 2}), service.reply("done")) as (client, asked):
        value, fds = client.call("work", {"a": 1}, on_signal=heard.append)
    assert (value, len(fds)) == ("done", 0)
    assert heard == [1, {"two": 2}]
    assert asked == [{"type": "method", "data": {"name": "work", "args": {"a": 1}}}]


def test_signals_may_be_ignored() -> None:
    with answering(service.signal(1), service.reply(None)) as (client, _):
        assert client.call("work")[0] is None


def test_a_remote_exception_is_raised_here() -> None:
    answer = service.exception("ValueError", "too big\nby far", "line 1")
    with answering(answer) as (client, _), pytest.raises(RemoteError) as caught:
        client.call("work")
    error = caught.value
    assert isinstance(error, ServiceError)
    assert (error.code, error.detail) == ("service.failed", "too big")
    assert (error.name, error.value, error.backtrace) == ("ValueError", "too big\nby far", "line 1")


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        {},
        {"type": "reply"},
        {"type": "reply", "data": {}},
        {"type": "other", "data": {"reply": 1}},
        {"type": ["reply"], "data": {"reply": 1}},
        {"type": "exception", "data": {"name": "E"}},
        service.method("work"),
    ],
)
def test_nonsense_is_a_protocol_error(message: object) -> None:
    with answering(message) as (client, _), pytest.raises(ProtocolError) as caught:
        client.call("work")
    assert caught.value.code == "service.protocol"


def test_a_service_that_ends_is_told_apart() -> None:
    with answering() as (client, _):
        for _ in range(2):
            with pytest.raises(ProtocolError) as caught:
                client.call("work")
            assert caught.value.code == "service.gone"


def test_another_thread_can_stop_a_call() -> None:
    ours, theirs = Socket.pair()
    with theirs, ServiceClient(ours) as client:
        timer = threading.Timer(0.05, client.stop)
        timer.start()
        with pytest.raises(ProtocolError) as caught:
            client.call("work")
        timer.join()
    assert caught.value.code == "service.gone"


def test_a_service_of_the_sdk_answers(sdk: Callable[[str], Any]) -> None:
    host = sdk("host")

    class Sample(host.Service):  # type: ignore[misc,name-defined]
        stopped = False

        def dispatch(self, method: str, args: Any, fds: Any) -> Any:
            if method == "read":
                self.emit_signal("reading")
                return os.pread(fds[0], 10, 0).decode(), [fds[0]]
            raise ValueError("no such thing")

        def stop(self) -> None:
            self.stopped = True

    ours, theirs = Socket.pair()
    fd = os.dup(theirs.fileno())
    theirs.close()
    sample = Sample(host.ServiceArguments(fd, "sample"))
    thread = threading.Thread(target=sample._serve)
    thread.start()
    heard: list[Any] = []
    memory = os.memfd_create("sample")
    os.write(memory, b"content")
    with ServiceClient(ours) as client:
        value, fds = client.call("read", None, [memory], heard.append)
        with fds:
            assert (value, os.pread(fds[0], 10, 0)) == ("content", b"content")
        with pytest.raises(RemoteError) as caught:
            client.call("other")
        assert not sample.abandoned()
    assert (caught.value.name, caught.value.value) == ("ValueError", "no such thing")
    assert "no such thing" in caught.value.backtrace or "dispatch" in caught.value.backtrace
    assert heard == ["reading"]
    thread.join(10)
    assert sample.abandoned()
    sample.sock.close()
    os.close(memory)
