"""The client of a session's keeper: asks it to start, signal and kill, and hears what has ended."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from osbuild_core.model.errors import SandboxError
from osbuild_core.protocol.keeper import (
    MARKER,
    Ended,
    Started,
    StartRequest,
    receive,
    receive_event,
    send,
)

ROUNDS = 10
"""How often processes are looked for that may have been started meanwhile; one that cannot be killed stays."""


class KeeperClient:
    """A keeper, which commands begin with ``environment`` from.

    Where this process is killed it removes ``directory``, if ``remove`` says so. ``events`` becomes readable when
    a command has ended. What asks raises SandboxError where the keeper has gone.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str], *, remove: bool) -> None:
        self._token = os.urandom(8).hex()
        self._lock = threading.Lock()
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.events, telling = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        package = str(Path(__file__).resolve().parents[3])
        program = (
            "import sys; sys.path.insert(0, sys.argv.pop(1));"
            " from osbuild_core.exports.jobs.keeper import main; main(sys.argv)"
        )
        words = [str(theirs.fileno()), str(telling.fileno()), self._token, str(directory)]
        with theirs, telling:
            # A session of its own: the Ctrl-C of a terminal is for us.
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", program, package, *words, "remove" if remove else "keep"],
                pass_fds=[theirs.fileno(), telling.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        self.tell({"do": "environment", "environment": dict(environment)})

    def tell(self, request: Mapping[str, object]) -> None:
        """Ask for something that has no reply."""
        # Without the lock: whoever holds it waits for a reply, and these have none.
        try:
            send(self._requests, request)
        except OSError as error:
            raise _gone() from error

    def _reply(self) -> tuple[dict[str, Any], list[int]]:
        try:
            reply = receive(self._requests)
        except OSError:
            reply = None
        if reply is None:
            raise _gone()
        return reply

    def start(self, request: StartRequest, meanwhile: Callable[[], None]) -> tuple[Started, int]:
        """Start a command; call ``meanwhile`` until it has started.

        Returns what came of that, and, where it runs, the descriptor to read what it prints from, which does not
        block and has an end only when the command has, and all that had it from that; else -1.
        """
        with self._lock:
            self.tell({"do": "start", **request._asdict()})
            try:
                meanwhile()
            finally:
                reply, fds = self._reply()
            return Started(**reply), fds[0] if fds else -1

    def signal(self, number: int, which: int) -> None:
        """Send a signal to a command, if it is still there."""
        with contextlib.suppress(SandboxError):
            self.tell({"do": "signal", "number": number, "signal": which})

    def kill(self, number: int) -> None:
        """Kill a command and all that descends from it."""
        with contextlib.suppress(SandboxError):
            self.tell({"do": "kill", "number": number})

    def release(self, numbers: Sequence[int]) -> bool:
        """Kill what the commands with these numbers left behind; wait for that. False if something is left."""
        with self._lock:
            self.tell({"do": "release", "numbers": list(numbers)})
            return not self._reply()[0].get("left")

    def hear(self) -> Ended | None:
        """Return which command has ended, None where the keeper has; then all of its commands have, too."""
        ended = receive_event(self.events)
        if ended is None:
            kill_marked(self._token)
        return ended

    def end(self) -> None:
        """Have everything killed, and wait for that and for the keeper's own end."""
        with self._lock, contextlib.suppress(SandboxError):
            self.tell({"do": "end"})
            self._reply()
        self._requests.close()
        self.process.wait()
        if self.process.returncode != 0:
            kill_marked(self._token)


def _gone() -> SandboxError:
    return SandboxError(
        "the keeper of the session has gone", code="job.keeper", hint="was it killed? begin a new session"
    )


def kill_marked(token: str) -> None:
    """Kill the processes of a keeper that has gone, of which it is not known any more where they are."""
    mark = f"\0{MARKER}={token}.".encode()
    for _ in range(ROUNDS):
        found = False
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != os.getpid():
                with contextlib.suppress(OSError):
                    found = _kill_if_marked(int(name), mark) or found
        if not found:
            return


def _kill_if_marked(pid: int, mark: bytes) -> bool:
    # Held by a descriptor, the number cannot become another process's.
    process = os.pidfd_open(pid)
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            if mark not in b"\0" + file.read():
                return False
        signal.pidfd_send_signal(process, signal.SIGKILL)
        select.select([process], [], [], 1.0)
        return True
    finally:
        os.close(process)
