"""The engine's end of the spawner: start processes, wait for them, signal them."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from osbuild_core.model.errors import SandboxError
from osbuild_core.model.events import ProgramEnded, ProgramStarted, Sink
from osbuild_core.protocol.spawn import SpawnRequest


class Process:
    """A process of the spawner's. ``status_socket`` becomes readable when it has ended; ``ended`` is told so."""

    def __init__(self, status_socket: socket.socket, ended: Callable[[int], None] | None = None) -> None:
        self.status_socket = status_socket
        self.returncode: int | None = None
        self._ended = ended

    def wait(self, timeout: float | None = None) -> int | None:
        """Return the exit status (negative: the signal that ended it), or None after ``timeout`` seconds.

        Raises SandboxError where the spawner itself has gone.
        """
        if self.returncode is None:
            self.status_socket.settimeout(timeout)
            try:
                packet = self._receive()
            except TimeoutError:
                return None
            if not packet:
                raise SandboxError(
                    "the spawner process has gone", code="sandbox.spawner", hint="was it killed? run again"
                )
            self.returncode = int(json.loads(packet)["status"])
            if self._ended is not None:
                self._ended(self.returncode)
        return self.returncode

    def _receive(self) -> bytes:
        try:
            return self.status_socket.recv(4096)
        except ConnectionResetError:
            # A signal that the spawner did not come to read is reported before the status that it sent.
            return self.status_socket.recv(4096)

    def signal(self, number: int) -> None:
        """Send a signal to the process and its group; no error where it has ended."""
        with contextlib.suppress(OSError):
            self.status_socket.send(json.dumps({"signal": number}).encode())

    def close(self) -> None:
        """Let go of the process; one that is leashed is killed if it still runs."""
        self.status_socket.close()


class Spawner:
    """Starts the warm process when it is first needed. Safe to use from several threads.

    ``sdk`` is the directory with the package ``osbuild`` that services in Python import. ``sink`` gets an event
    for each program that starts or ends.
    """

    def __init__(self, sdk: Path, sink: Sink | None = None) -> None:
        self._sdk = sdk
        self._sink = sink
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._warm: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the warm process, unless it runs; does not wait for it."""
        with self._lock:
            if self._control is not None:
                return
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            package = str(Path(__file__).resolve().parents[2])
            program = (
                "import sys; sys.path.insert(0, sys.argv.pop(1));"
                " from osbuild_core.sandbox.warm import main; main(sys.argv)"
            )
            with theirs:
                # A session of its own: the Ctrl-C of a terminal is for the engine, which then stops us.
                self._warm = subprocess.Popen(
                    [sys.executable, "-c", program, package, str(theirs.fileno()), str(self._sdk)],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                )
            self._control = ours

    def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        fds: Mapping[int, int],
        namespace: int | None = None,
        python: bool = False,
        leashed: bool = True,
        guarded: bool = False,
        cwd: str = "/",
    ) -> Process:
        """Start ``argv`` with the descriptors ``fds`` (number there: descriptor here).

        ``namespace`` is a descriptor of a mount namespace. See :class:`SpawnRequest` for the rest.
        """
        self.start()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        passed = [theirs.fileno(), *fds.values()]
        if namespace is not None:
            passed.append(namespace)
        request = SpawnRequest(
            argv=argv,
            env=env,
            fds={number: index for index, number in enumerate(fds, start=1)},
            namespace=len(passed) - 1 if namespace is not None else None,
            python=python,
            leashed=leashed,
            guarded=guarded,
            cwd=cwd,
        )
        with theirs, self._lock:
            assert self._control is not None
            try:
                socket.send_fds(self._control, [request.encode()], passed)
            except OSError as error:
                ours.close()
                raise SandboxError(
                    f"the spawner process does not answer: {error.strerror}", code="sandbox.spawner"
                ) from error
        return Process(ours, self._report(argv))

    def _report(self, argv: Sequence[str]) -> Callable[[int], None] | None:
        """Tell the sink that ``argv`` has started; return what tells it of the end."""
        if (sink := self._sink) is None:
            return None
        number = next(self._numbers)
        sink(ProgramStarted(number, tuple(argv)))
        return lambda status: sink(ProgramEnded(number, status))

    def close(self) -> None:
        """End the warm process and all that it started; wait for that."""
        with self._lock:
            control, self._control = self._control, None
            warm, self._warm = self._warm, None
        if control is not None:
            control.close()
        if warm is not None:
            warm.wait()

    def __enter__(self) -> Spawner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def mount_namespace() -> int:
    """Return a new descriptor of the calling thread's mount namespace."""
    return os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
