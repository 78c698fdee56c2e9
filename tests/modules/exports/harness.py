"""Runs the executable of an export module as the engine does: a service with a socket, and a tree."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from osbuild_core.protocol.export_api import Exported, export, parse_exported
from osbuild_core.protocol.jsoncomm import Socket
from osbuild_core.protocol.service import ServiceClient

ROOT = Path(__file__).resolve().parents[3]
SDK = ROOT / "osbuild_core" / "sdk"


@contextmanager
def started(
    name: str, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[ServiceClient, subprocess.Popen[bytes]]]:
    """Provide ``org.osbuild.NAME``, which has not been asked for anything yet, and its process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        number = theirs.fileno()
        program = str(ROOT / "exports" / f"org.osbuild.{name}")
        process = subprocess.Popen(
            [sys.executable, program, "--service-id", "export/test", "--service-fd", str(number)],
            env={**os.environ, "PYTHONPATH": str(SDK), **(environment or {})},
            pass_fds=[number],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        client = ServiceClient(Socket(ours))
        try:
            yield client, process
        finally:
            client.stop()
            process.wait(timeout=60)


def run(
    name: str,
    tree: Path,
    options: Mapping[str, Any],
    output: Path | None = None,
    environment: Mapping[str, str] | None = None,
    manifest: Path | None = None,
) -> Exported:
    """Run ``org.osbuild.NAME`` on ``tree``, as the export ``test`` of the file ``manifest``; return its reply.

    Raises ServiceError where it fails otherwise.
    """
    with started(name, environment) as (client, process):
        arguments = export(
            str(tree), str(output) if output else None, options, str(manifest) if manifest else None
        )
        reply, fds = client.call("export", arguments)
        fds.close()
    assert process.returncode == 0
    return parse_exported(reply)
