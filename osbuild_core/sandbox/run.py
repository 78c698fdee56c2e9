"""Runs one program to its end, in a sandbox or not: output, deadline, cancellation, what a stage reports."""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import IO

from osbuild_core.model.errors import SandboxError
from osbuild_core.protocol.stage_api import ExceptionSocket, StageException
from osbuild_core.sandbox.spawner import Process, Spawner
from osbuild_core.sandbox.spec import SECCOMP_FD, SandboxSpec, bubblewrap_argv

TAIL = 31_000
"""Characters of output that a result keeps; the log file has the whole."""

CHUNK = 65_536

ENDING = 10.0
"""Seconds that what was killed may take to be gone."""

LONGEST_WAIT = 3600.0
"""Seconds; poll() has no room for any number, and nobody minds waking up once an hour."""


@dataclass(frozen=True, slots=True)
class SandboxResult:
    """How a program ended. ``returncode`` is negative where a signal ended the program itself; of what runs
    in a sandbox it is 128 more than the signal. ``exception`` is what the stage sent, as it sent it."""

    returncode: int
    output: str
    timed_out: bool = False
    cancelled: bool = False
    exception: StageException | None = None


@cache
def bubblewrap() -> str:
    """Return the path of bubblewrap.

    Raises SandboxError where it is not installed.
    """
    path = shutil.which("bwrap", path=os.environ.get("PATH", "") + ":/usr/bin:/usr/local/bin")
    if path is None:
        raise SandboxError(
            "bubblewrap (bwrap) is not installed",
            code="sandbox.no-bubblewrap",
            hint="install the package bubblewrap",
        )
    return path


class Output:
    """What a program prints: decoded without losing a character that is split between two reads."""

    def __init__(self, log: IO[bytes], show: Callable[[str], None]) -> None:
        self._log = log
        self._show = show
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._tail = ""
        self._hidden = 0

    def feed(self, data: bytes, final: bool = False) -> None:
        self._log.write(data)
        text = self._decoder.decode(data, final)
        if not text:
            return
        self._tail += text
        if len(self._tail) > 2 * TAIL:
            self._cut()
        self._show(text)

    def _cut(self) -> None:
        surplus = len(self._tail) - TAIL
        if surplus > 0:
            self._hidden += len(self._tail[:surplus].encode())
            self._tail = self._tail[surplus:]

    def tail(self) -> str:
        """Return the last part, with a first line that says how much is missing."""
        self._cut()
        return f"[...{self._hidden} bytes hidden...]\n{self._tail}" if self._hidden else self._tail


def run(
    spawner: Spawner,
    spec: SandboxSpec,
    *,
    api: Path,
    log: IO[bytes],
    show: Callable[[str], None],
    namespace: int | None = None,
    cancel: int | None = None,
) -> SandboxResult:
    """Run ``spec`` and wait for its end.

    ``api`` is the directory that the spec binds at ``/run/osbuild/api``; ``show`` gets the output as
    text; ``namespace`` is the mount namespace to start in; ``cancel`` is a descriptor that becomes
    readable when the run is to be ended. Everything in the sandbox is gone when this returns.

    Raises SandboxError where it cannot be started.
    """
    with ExceptionSocket(api / "osbuild") as exceptions, _readable(spec.seccomp) as seccomp:
        result = run_program(
            spawner,
            bubblewrap_argv(spec, bubblewrap(), selinux=os.path.ismount("/sys/fs/selinux")),
            environment=dict(spec.environment),
            output=Output(log, show),
            timeout=spec.timeout,
            namespace=namespace,
            cancel=cancel,
            # bubblewrap is told to die with its parent.
            guarded=True,
            given={} if seccomp is None else {SECCOMP_FD: seccomp},
        )
        return replace(result, exception=exceptions.collect())


@contextlib.contextmanager
def _readable(data: bytes | None) -> Iterator[int | None]:
    """Give a descriptor that ``data``, at most a page of it, can be read from; None for None."""
    if data is None:
        yield None
        return
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            os.write(writing, data)
        finally:
            os.close(writing)
        yield reading
    finally:
        os.close(reading)


def run_program(
    spawner: Spawner,
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    output: Output,
    timeout: float | None = None,
    namespace: int | None = None,
    cancel: int | None = None,
    guarded: bool = False,
    given: Mapping[int, int] | None = None,
) -> SandboxResult:
    """Run ``argv`` as it is and wait for its end; see :func:`run` for the rest.

    It gets the descriptors ``given`` (number there: descriptor here). It is gone when this returns or raises, and
    when we are killed. Raises SandboxError, and what ``output`` raises.
    """
    with contextlib.ExitStack() as stack:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        stack.callback(os.close, reading)
        try:
            process = spawner.spawn(
                argv,
                env=environment,
                fds={1: writing, 2: writing, **(given or {})},
                namespace=namespace,
                guarded=guarded,
            )
        finally:
            os.close(writing)
        stack.callback(process.close)
        try:
            timed_out, cancelled = _follow(process, reading, output, timeout, cancel)
        except BaseException:
            # The output could not be written: what it is about has to be gone all the same.
            process.signal(signal.SIGKILL)
            process.wait()
            raise
        try:
            returncode = process.wait()
        except SandboxError:
            _end_writers(reading, output)
            raise
        assert returncode is not None
        _drain(reading, output)
        return SandboxResult(returncode, output.tail(), timed_out, cancelled)


def _follow(
    process: Process, reading: int, output: Output, timeout: float | None, cancel: int | None
) -> tuple[bool, bool]:
    """Read until the process has ended; kill it at its deadline or when cancelled."""
    deadline = None if timeout is None else time.monotonic() + timeout
    timed_out = cancelled = False
    status = process.status_socket.fileno()
    poll = select.poll()
    for fd in (status, reading) if cancel is None else (status, reading, cancel):
        poll.register(fd, select.POLLIN)
    while True:
        wait = None
        if deadline is not None and not timed_out:
            wait = min(max(0.0, deadline - time.monotonic()), LONGEST_WAIT) * 1000
        events = dict(poll.poll(wait))
        # Checked each time round, so that a stage which never stops printing meets its deadline too.
        if deadline is not None and not timed_out and time.monotonic() >= deadline:
            timed_out = True
            process.signal(signal.SIGKILL)
        if cancel in events:
            cancelled = True
            poll.unregister(cancel)
            process.signal(signal.SIGKILL)
        if reading in events:
            data = os.read(reading, CHUNK)
            output.feed(data)
            if not data:
                poll.unregister(reading)
        if status in events:
            return timed_out, cancelled


def _drain(reading: int, output: Output) -> bool:
    """Read what is left in the pipe; tell whether that was its end, which somebody may hold open."""
    os.set_blocking(reading, False)
    ended = False
    while not ended:
        try:
            data = os.read(reading, CHUNK)
        except BlockingIOError:
            break
        ended = not data
        output.feed(data)
    output.feed(b"", final=True)
    return ended


def _end_writers(reading: int, output: Output) -> None:
    """Kill what prints into the pipe: the spawner, which knew its processes, has gone.

    They end with it by themselves, but for a bubblewrap that had not come to ask for that.
    """
    pipe = os.readlink(f"/proc/self/fd/{reading}")
    end = time.monotonic() + ENDING
    while not _drain(reading, output) and time.monotonic() < end:
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != os.getpid():
                with contextlib.suppress(OSError):
                    _kill_writer(int(name), pipe)
        time.sleep(0.01)


def _kill_writer(pid: int, pipe: str) -> None:
    # Held by a descriptor, the number cannot become another process's.
    process = os.pidfd_open(pid)
    try:
        if pipe in (os.readlink(f"/proc/{pid}/fd/{number}") for number in (1, 2)):
            signal.pidfd_send_signal(process, signal.SIGKILL)
    finally:
        os.close(process)
