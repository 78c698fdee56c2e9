"""Fixtures: a small archive, a machine that uses it, a server."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from localarchive import Archive, Handler, Machine


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """An archive with a few packages in the suite ``test``."""
    made = Archive(tmp_path / "archive")
    made.add("base-files", Essential="yes", Priority="required")
    made.add("shell", Essential="yes", Priority="required", Pre_Depends="libshell (>= 1)")
    made.add("libshell", "2:1.5~rc1+b2")
    made.add("mounter", Priority="required")
    made.add("apt", Priority="important")
    made.add("server", Depends="libserver | libother", Recommends="docs")
    made.add("libserver")
    made.add("libother")
    made.add("docs")
    made.add("broken", Depends="shell (>= 99), libserver, left-over")
    made.add("hostile", Conflicts="libserver", Depends="libother")
    made.write()
    return made


@pytest.fixture
def machine(tmp_path: Path, archive: Archive) -> Machine:
    """A machine with one entry: the unsigned archive, trusted."""
    made = Machine(tmp_path / "etc", tmp_path / "state")
    made.entry(f"deb [trusted=yes] {archive.url} test main\n")
    return made


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Serve a directory on 127.0.0.1 and return its address, without scheme."""
    servers: list[tuple[http.server.ThreadingHTTPServer, threading.Thread]] = []

    def start(directory: Path, authorization: str | None = None) -> str:
        handler = type("Bound", (Handler,), {"authorization": authorization})
        bound = functools.partial(handler, directory=str(directory))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), bound)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        servers.append((server, thread))
        return f"127.0.0.1:{server.server_address[1]}"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()
