"""An nginx of our own: the real one, with a configuration for its ``http {}``, on ports of loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_BOUND = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"),
)
"""What its command begins with, so that it ends with us and its workers with it."""
PATIENCE = 20.0
_AROUND = """\
daemon off;
user root;
pid {directory}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/sites/*;
}}
"""


class UnavailableError(Exception):
    """It cannot be had here; the text says why."""


def program() -> str:
    """Return the path of nginx. Raises UnavailableError."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        raise UnavailableError("nginx is not installed")
    return found


@contextmanager
def running(directory: Path, sites: Sequence[str], ports: Sequence[int]) -> Iterator[None]:
    """Run nginx with ``sites`` until the end; they listen on ``ports``. It keeps its files in ``directory``.

    Raises UnavailableError. Fails with what nginx says where it does not take a site.
    """
    begin = [*_BOUND, program(), "-c", str(directory / "nginx.conf"), "-p", str(directory), "-e", "stderr"]
    (directory / "sites").mkdir(parents=True)
    for number, site in enumerate(sites):
        (directory / "sites" / str(number)).write_text(site)
    (directory / "nginx.conf").write_text(_AROUND.format(directory=directory))
    with (directory / "log").open("w") as log:
        server = subprocess.Popen(
            begin, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        for port in ports:
            _wait(port, server, directory)
        yield
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait(port: int, server: subprocess.Popen[bytes], directory: Path) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            assert server.poll() is None and time.monotonic() < end, (directory / "log").read_text()
            time.sleep(0.02)
