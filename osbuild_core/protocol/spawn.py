"""The wire between the engine and its spawner (:mod:`osbuild_core.sandbox.warm`).

A request is one packet on the control socket: JSON, with descriptors beside it. ``fds`` of the request
maps descriptor numbers of the new process to indexes into those descriptors; index 0 is always the
*status socket* of that process. On it the spawner answers ``{"status": n}`` once, when the process has
ended (``n`` as in ``os.waitstatus_to_exitcode``), and the engine may send ``{"signal": n}`` before.
Closing the engine's end kills a process that is ``leashed``; others are expected to end by themselves,
when the sockets that they serve are closed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PACKET_MAX = 1 << 20
"""Longest packet in bytes: an argument vector with its environment, with room to spare."""

FDS_MAX = 32


@dataclass(frozen=True, slots=True)
class SpawnRequest:
    """One process to start.

    With ``python``, ``argv[0]`` is a Python program that runs in a fork of the warm process, with
    ``sdk`` on its module path; otherwise it is executed. ``namespace`` is the index of a descriptor of
    the mount namespace to enter. ``leashed`` processes are killed when the engine or the spawner goes;
    ``guarded`` ones see to it themselves that they end with the spawner, which makes them quick to start.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    fds: Mapping[int, int]
    namespace: int | None = None
    python: bool = False
    leashed: bool = True
    guarded: bool = False
    cwd: str = "/"

    def encode(self) -> bytes:
        return json.dumps(
            {
                "argv": list(self.argv),
                "env": dict(self.env),
                "fds": {str(k): v for k, v in self.fds.items()},
                "namespace": self.namespace,
                "python": self.python,
                "leashed": self.leashed,
                "guarded": self.guarded,
                "cwd": self.cwd,
            }
        ).encode()

    @classmethod
    def decode(cls, packet: bytes) -> SpawnRequest:
        data: dict[str, Any] = json.loads(packet)
        return cls(
            argv=data["argv"],
            env=data["env"],
            fds={int(k): v for k, v in data["fds"].items()},
            namespace=data["namespace"],
            python=data["python"],
            leashed=data["leashed"],
            guarded=data["guarded"],
            cwd=data["cwd"],
        )
