"""A PostgreSQL of our own: the real one, in a directory of its own, on a socket that nobody else finds."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UnavailableError(Exception):
    """It cannot be had here; the text says why."""


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        raise UnavailableError("PostgreSQL is not installed")
    return found[-1].parent


def _as_its_user() -> list[str]:
    """Return what a command begins with: the server refuses to run as root."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []


@contextmanager
def running() -> Iterator[str]:
    """Run a server; provide the address of its database for SQLAlchemy. Raises UnavailableError."""
    programs = _programs()
    directory = Path(tempfile.mkdtemp(prefix="osbuild-core-pg-", dir="/var/tmp"))
    try:
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres", "postgres")
        data = directory / "data"
        _run(
            [
                str(programs / "initdb"),
                "-D",
                str(data),
                "-U",
                "service",
                "--auth=trust",
                "--no-sync",
                "-E",
                "UTF8",
            ]
        )
        with (directory / "log").open("w") as log:
            server = subprocess.Popen(
                [
                    *_as_its_user(),
                    *(str(programs / "postgres"), "-D", str(data), "-k", str(directory), "-F"),
                    *("-c", "listen_addresses=", "-c", "max_connections=200"),
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd="/",
            )
        try:
            _wait(programs, directory, server)
            yield f"postgresql+asyncpg://service@/postgres?host={directory}"
        finally:
            # At once: nobody needs what is in it.
            server.send_signal(signal.SIGQUIT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(20)
            server.kill()
            server.wait()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _wait(programs: Path, directory: Path, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while True:
        ready = subprocess.run(
            [str(programs / "pg_isready"), "-q", "-h", str(directory)], stdin=subprocess.DEVNULL
        )
        if ready.returncode == 0:
            return
        if server.poll() is not None or time.monotonic() > end:
            raise UnavailableError("PostgreSQL does not start: " + (directory / "log").read_text()[-500:])
        time.sleep(0.05)


def _run(command: list[str]) -> None:
    done = subprocess.run(
        [*_as_its_user(), *command], capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd="/"
    )
    if done.returncode != 0:
        raise UnavailableError(f"{command[0]} fails: {done.stderr.strip()[-300:]}")


def query(url: str, statement: str) -> list[str]:
    """Run SQL as the address says; return the lines of the answer."""
    address, _, host = url.rpartition("?host=")
    database = address.rpartition("/")[2]
    done = subprocess.run(
        [str(_programs() / "psql"), "-h", host, "-U", "service", "-d", database, "-Atqc", statement],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=True,
        cwd="/",
    )
    return done.stdout.splitlines()


def another(url: str) -> str:
    """Make a database beside the one of ``url``; return its address."""
    name = f"d{secrets.token_hex(4)}"
    query(url, f"CREATE DATABASE {name}")
    return url.replace("/postgres?", f"/{name}?")
