"""What a stage is told and what it can tell: arguments as a file, exceptions over a socket."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from osbuild_core.protocol.jsoncomm import ProtocolError, Socket

TREE = "/run/osbuild/tree"
PATHS = {"devices": "/dev", "inputs": "/run/osbuild/inputs", "mounts": "/run/osbuild/mounts"}


def arguments(
    options: Mapping[str, Any],
    *,
    id: str,
    source_epoch: int | None = None,
    tree: str = TREE,
    inputs: Mapping[str, Any] | None = None,
    devices: Mapping[str, Any] | None = None,
    mounts: Mapping[str, Any] | None = None,
    paths: Mapping[str, str] = PATHS,
) -> dict[str, Any]:
    """Build the document that a stage reads as its arguments.

    ``inputs``, ``devices`` and ``mounts`` are the replies of their services by name, with paths as they
    are inside of the sandbox. ``id`` is the stage's; ``source_epoch`` is in seconds since 1970.
    """
    meta: dict[str, Any] = {"id": id}
    if source_epoch is not None:
        meta["source-epoch"] = source_epoch
    return {
        "tree": tree,
        "paths": dict(paths),
        "inputs": dict(inputs or {}),
        "devices": dict(devices or {}),
        "mounts": dict(mounts or {}),
        "options": dict(options),
        "meta": meta,
    }


@dataclass(frozen=True, slots=True)
class StageException:
    """An exception that ended a stage: the name of its type, its text, the formatted traceback."""

    type: str
    value: str
    traceback: str

    def as_data(self) -> dict[str, str]:
        """Return it as results show it."""
        return {"type": self.type, "value": self.value, "traceback": self.traceback}


def exception_message(type: str, value: str, traceback: str) -> dict[str, Any]:
    """Build the message by which a stage reports its exception."""
    return {"method": "exception", "exception": {"type": type, "value": value, "traceback": traceback}}


def parse_exception(message: Any) -> StageException:
    """Read that message. Raises ProtocolError where it is something else."""
    if isinstance(message, dict) and message.get("method") == "exception":
        data = message.get("exception")
        if isinstance(data, dict):
            return StageException(
                str(data.get("type", "")), str(data.get("value", "")), str(data.get("traceback", ""))
            )
    raise ProtocolError(f"unexpected message of a stage: {str(message)[:200]}")


class ExceptionSocket:
    """Context manager: the socket at ``path`` to which a stage reports its exception.

    It needs no thread: connections and messages wait in the kernel until :meth:`collect`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    def __enter__(self) -> ExceptionSocket:
        self._listener = Socket.listen(self.path)
        self._listener.settimeout(0)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        os.unlink(self.path)

    def collect(self) -> StageException | None:
        """Return the last exception that was reported, None if there is none. Does not wait."""
        found: list[StageException] = []
        while (connection := self._listener.accept()) is not None:
            with connection:
                found += _read(connection)
        return found[-1] if found else None


def _read(connection: Socket) -> list[StageException]:
    connection.settimeout(0)
    found: list[StageException] = []
    while True:
        try:
            packet = connection.recv()
        except (OSError, ProtocolError):
            return found
        if packet is None:
            return found
        message, fds = packet
        fds.close()
        try:
            found.append(parse_exception(message))
        except ProtocolError:
            # A stage may say what it likes; that its process failed is known from its exit status.
            continue
