"""A Redis of our own: the real one, in memory only, on a port of loopback that was free."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.emulator.rabbitmq import UnavailableError, free_ports


@contextmanager
def running() -> Iterator[str]:
    """Run a server; provide its address. Raises UnavailableError."""
    program = shutil.which("redis-server")
    if program is None:
        raise UnavailableError("Redis is not installed")
    if importlib.util.find_spec("redis") is None:
        raise UnavailableError("the library redis is not installed")
    (port,) = free_ports(1)
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", "/"]
    server = subprocess.Popen(
        [program, *options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > end:
                    raise UnavailableError("Redis does not start") from None
                time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.kill()
        server.wait()
