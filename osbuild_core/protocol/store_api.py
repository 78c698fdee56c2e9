"""What host services ask the object store: one request, one answer with a path or an error."""

from __future__ import annotations

import os
from typing import Any, Protocol

from osbuild_core.protocol.jsoncomm import FdSet, ProtocolError
from osbuild_core.protocol.server import SocketServer, reason

Message = dict[str, Any]
StrPath = str | os.PathLike[str]


class StoreHandler(Protocol):
    """What answers the requests; what it raises (OsbuildError, OSError) is told to the service."""

    def read_tree(self, object_id: str) -> StrPath:
        """Return a path at which the tree of that object can be read until the stage ends."""
        ...

    def read_tree_at(self, object_id: str, target: str, subtree: str) -> StrPath:
        """Mount ``subtree`` (``/``: all) of that object read-only at ``target`` and return ``target``."""
        ...

    def mkdtemp(self, suffix: str | None, prefix: str | None) -> StrPath:
        """Return a new directory that lives until the stage ends."""
        ...

    def source(self, name: str) -> StrPath:
        """Return the directory with what was fetched of content type ``name``."""
        ...


def read_tree(object_id: str) -> Message:
    return {"method": "read-tree", "object-id": object_id}


def read_tree_at(object_id: str, target: str, subtree: str = "/") -> Message:
    return {"method": "read-tree-at", "object-id": object_id, "target": target, "subtree": subtree}


def mkdtemp(suffix: str | None = None, prefix: str | None = None) -> Message:
    return {"method": "mkdtemp", "suffix": suffix, "prefix": prefix}


def source(name: str) -> Message:
    return {"method": "source", "name": name}


def dispatch(handler: StoreHandler, message: Any) -> Message:
    """Answer one request with ``{"path": …}``. Raises ProtocolError for an unknown one."""
    if not isinstance(message, dict):
        raise ProtocolError("a request to the store is no object")
    match message.get("method"):
        case "read-tree":
            path = handler.read_tree(_text(message, "object-id"))
        case "read-tree-at":
            subtree = message.get("subtree") or "/"
            path = handler.read_tree_at(_text(message, "object-id"), _text(message, "target"), str(subtree))
        case "mkdtemp":
            path = handler.mkdtemp(message.get("suffix"), message.get("prefix"))
        case "source":
            path = handler.source(_text(message, "name"))
        case other:
            raise ProtocolError(f"the store knows no request {other!r}")
    return {"path": os.fspath(path)}


def _text(message: Message, field: str) -> str:
    value = message.get(field)
    if not isinstance(value, str):
        raise ProtocolError(f"a request to the store lacks {field!r}")
    return value


class StoreServer(SocketServer):
    """Context manager: answers the services that connect to ``path`` with what ``handler`` says.

    The handler is called from one thread, in the mount namespace of the thread that enters the server.
    """

    def __init__(self, path: StrPath, handler: StoreHandler) -> None:
        def answer(message: Any, _fds: FdSet) -> Message:
            return dispatch(handler, message)

        super().__init__(path, answer, lambda error: {"error": reason(error)})
