"""A listening socket whose requests are answered one after the other, in one thread.

The thread is started by the one that enters the server, and so lives in the same mount namespace. A
single thread suffices, since answers take milliseconds at most, and it frees what answers them from locking.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
from collections.abc import Callable
from typing import Any

from osbuild_core.model.errors import OsbuildError
from osbuild_core.protocol.jsoncomm import FdSet, ProtocolError, Socket

Answer = Callable[[Any, FdSet], Any]
"""Takes a message and its descriptors, returns the reply. The server closes the descriptors."""

Refusal = Callable[[Exception], Any]
"""Turns what an answer raised into the reply that says so."""


class SocketServer:
    """Context manager: listens at ``path`` from entering to leaving, then ends all connections."""

    def __init__(self, path: str | os.PathLike[str], answer: Answer, refuse: Refusal) -> None:
        self.path = os.fspath(path)
        self._answer = answer
        self._refuse = refuse
        self._thread: threading.Thread | None = None

    def __enter__(self) -> SocketServer:
        self._listener = Socket.listen(self.path)
        self._listener.settimeout(0)
        self._wake, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name=f"server {self.path}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake.close()
        if self._thread is not None:
            self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
        os.unlink(self.path)

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, Socket) and not self._serve_one(key.fileobj):
                    self._selector.unregister(key.fileobj)
                    key.fileobj.close()

    def _accept(self) -> None:
        connection = self._listener.accept()
        if connection is not None:
            # One client that does not read must not hold up the others for long.
            connection.settimeout(5)
            self._selector.register(connection, selectors.EVENT_READ)

    def _serve_one(self, connection: Socket) -> bool:
        """Answer one message; tell whether the connection goes on."""
        try:
            packet = connection.recv()
            if packet is None:
                return False
            message, fds = packet
            with fds:
                connection.send(self._reply_to(message, fds))
            return True
        except (OSError, ProtocolError):
            return False

    def _reply_to(self, message: Any, fds: FdSet) -> Any:
        try:
            return self._answer(message, fds)
        except Exception as error:
            # Whatever went wrong, the client waits for an answer and passes the reason on.
            return self._refuse(error)


def reason(error: Exception) -> str:
    """Return ``error`` as one line for the other side."""
    if isinstance(error, OsbuildError):
        return error.detail
    if isinstance(error, OSError):
        return str(error)
    return f"{type(error).__name__}: {error}"
