"""Loop devices for stages that make their own: the engine makes them, since a sandbox may not."""

from __future__ import annotations

import contextlib
import importlib
import os
import traceback
from typing import Any

from osbuild_core.protocol import service
from osbuild_core.protocol.jsoncomm import FdSet, ProtocolError
from osbuild_core.protocol.server import SocketServer


class RemoteLoopServer(SocketServer):
    """Context manager: makes loop devices for those who connect to ``path``; leaving frees them all.

    They have to be unused by then. Leaving raises TimeoutError where one is not, after freeing the others.

    A request is ``{"fd", "dir_fd"}`` (indices of the descriptors that came with it: the file, and the
    directory for the node), with ``offset``, ``sizelimit`` and ``sector_size`` in bytes, ``lock``,
    ``partscan`` and ``read_only``; the answer ``{"devname"}`` or an exception message.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, self._create, _refuse)
        self._loops: list[Any] = []

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        loops, self._loops = self._loops, []
        with contextlib.ExitStack() as stack:
            for loop in loops:
                stack.callback(loop.close)

    def _create(self, message: Any, fds: FdSet) -> dict[str, str]:
        try:
            file, folder = fds[message["fd"]], fds[message["dir_fd"]]
        except (TypeError, KeyError, IndexError) as error:
            raise ProtocolError("a request for a loop device lacks its file or directory") from error
        # By name: the SDK is not checked as part of this package, and few stages need this at all.
        module = importlib.import_module("osbuild_core.sdk.osbuild.loop")
        with module.LoopControl() as control:
            loop = control.loop_for_fd(
                file,
                lock=bool(message.get("lock")),
                offset=message.get("offset"),
                sizelimit=message.get("sizelimit"),
                blocksize=message.get("sector_size") or 0,
                partscan=bool(message.get("partscan")),
                read_only=bool(message.get("read_only")),
            )
        self._loops.append(loop)
        loop.mknod(folder)
        return {"devname": loop.devname}


def _refuse(error: Exception) -> service.Message:
    stack = "".join(traceback.format_tb(error.__traceback__))
    return service.exception(type(error).__name__, str(error), stack)
