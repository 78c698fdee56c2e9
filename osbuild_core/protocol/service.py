"""Calls to host services: method there; signals, then a reply or an exception back (DESIGN section 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from osbuild_core.model.errors import ServiceError
from osbuild_core.protocol.jsoncomm import FdSet, ProtocolError, Socket

Message = dict[str, Any]


class RemoteError(ServiceError):
    """A service raised an exception of type ``name`` with text ``value``."""

    code = "service.failed"

    def __init__(self, name: str, value: str, backtrace: str = "") -> None:
        lines = value.strip().splitlines() or [name]
        super().__init__(lines[0])
        self.name = name
        self.value = value
        self.backtrace = backtrace


def method(name: str, args: Any = None) -> Message:
    """Build the message that asks for a method."""
    return {"type": "method", "data": {"name": name, "args": {} if args is None else args}}


def reply(value: Any) -> Message:
    """Build the message that ends a method."""
    return {"type": "reply", "data": {"reply": value}}


def signal(value: Any) -> Message:
    """Build a message that tells something on the way to the reply."""
    return {"type": "signal", "data": {"reply": value}}


def exception(name: str, value: str, backtrace: str = "") -> Message:
    """Build the message that ends a method which failed."""
    return {"type": "exception", "data": {"name": name, "value": value, "backtrace": backtrace}}


def parse(message: Any) -> tuple[str, Mapping[str, Any]]:
    """Return the type of ``message`` and its data. Raises ProtocolError where it has no such form."""
    if isinstance(message, dict):
        kind, data = message.get("type"), message.get("data")
        wanted = _FIELDS.get(kind) if isinstance(kind, str) else None
        if wanted is not None and isinstance(data, dict) and wanted <= data.keys():
            return str(kind), data
    raise ProtocolError(f"unexpected message: {str(message)[:200]}")


_FIELDS: Mapping[str, frozenset[str]] = {
    "method": frozenset({"name", "args"}),
    "reply": frozenset({"reply"}),
    "signal": frozenset({"reply"}),
    "exception": frozenset({"name", "value"}),
}


class ServiceClient:
    """The engine's end of the socket of one service. Not for several threads at once, but for ``stop``."""

    def __init__(self, sock: Socket) -> None:
        self._sock = sock

    def call(
        self,
        name: str,
        args: Any = None,
        fds: Sequence[int] = (),
        on_signal: Callable[[Any], None] | None = None,
    ) -> tuple[Any, FdSet]:
        """Run a method of the service and return its reply and the descriptors that came with it.

        ``on_signal`` gets the value of each signal before the reply. Raises RemoteError where the method
        failed, ProtocolError where the service has ended or talks nonsense, TimeoutError where the socket
        has a time limit.
        """
        try:
            self._sock.send(method(name, args), fds)
        except (BrokenPipeError, ConnectionError) as error:
            raise _gone(name) from error
        while True:
            packet = self._sock.recv()
            if packet is None:
                raise _gone(name)
            message, received = packet
            try:
                kind, data = parse(message)
                if kind == "reply":
                    return data["reply"], received
                if kind == "exception":
                    raise RemoteError(str(data["name"]), str(data["value"]), str(data.get("backtrace") or ""))
                if kind != "signal":
                    raise ProtocolError(f"a service sent a message of type {kind!r}")
            except BaseException:
                received.close()
                raise
            received.close()
            if on_signal is not None:
                on_signal(data["reply"])

    def stop(self) -> None:
        """End the connection; the service frees what it holds and exits. Any thread may call this."""
        self._sock.shutdown()

    def close(self) -> None:
        """End the connection and give the socket back."""
        self._sock.shutdown()
        self._sock.close()

    def __enter__(self) -> ServiceClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _gone(name: str) -> ProtocolError:
    return ProtocolError(f"the service ended before it answered {name!r}", code="service.gone")
