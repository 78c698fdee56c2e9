"""The processes of a session: starts commands by its keeper, follows what they print, ends them in time.

A thread waits, in epoll(7), for output, ends, deadlines and requests to cancel; nothing else wakes it up. It is one
of the session's own, or, with ``attended``, whoever waits for the end of the command: one thread less to wake up.
"""

from __future__ import annotations

import collections
import contextlib
import fcntl
import os
import select
import signal
import struct
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from osbuild_core.exports.jobs.command import Command, CommandError, Listener, Outcome
from osbuild_core.exports.jobs.keeping import KeeperClient
from osbuild_core.protocol.keeper import StartRequest

CHUNK = 1 << 18
"""Bytes that are read at once, and room in the pipe of a command that prints much: it waits less often."""
PIPE = 1 << 16
"""Bytes that a pipe has room for in the beginning (pipe(7))."""

LONGEST_WAIT = 3600.0


class _Action:
    """The command that runs, as the thread sees it."""

    def __init__(self, number: int, command: Command, reading: int, listener: Listener) -> None:
        self.number = number
        self.command = command
        self.reading = reading
        self.listener = listener
        self.outcome = Outcome.BY_ITSELF
        self.deadline = None if command.timeout is None else time.monotonic() + command.timeout
        self.kill_at: float | None = None
        self.followed = False
        self.told = False
        self.over: threading.Event | None = None


class Processes:
    """The processes of one session, one command at a time; see :class:`KeeperClient` for what it takes.

    ``attended``: after each :meth:`follow` there is a :meth:`wait`, by the thread that closes it as well.
    """

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str],
        *,
        remove: bool = True,
        attended: bool = False,
    ) -> None:
        self._keeper = KeeperClient(directory, environment, remove=remove)
        self._numbers = 0
        self._action: _Action | None = None
        self._last: _Action | None = None
        self._strays: dict[int, Listener] = {}
        self._over = 0
        self._todo: collections.deque[tuple[int, float | None]] = collections.deque()
        self._attended = attended
        self._thread: threading.Thread | None = None
        self._closing = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll = select.epoll()
        self._epoll.register(self._wake, select.EPOLLIN)
        self._epoll.register(self._keeper.events.fileno(), 0)

    # For the session

    def number(self) -> int:
        """Return the number of the command that is started next; from now on it can be cancelled."""
        self._numbers += 1
        return self._numbers

    def start(
        self, command: Command, listener: Listener, meanwhile: Callable[[], None] = lambda: None
    ) -> int:
        """Start ``command``, for which there is a number; return its process id.

        Nothing is told of it before :meth:`follow`. ``meanwhile`` is called while it starts. Raises CommandError, and
        SandboxError where the keeper has gone.
        """
        request = StartRequest(
            number=self._numbers,
            argv=command.argv,
            changes=command.changes,
            cwd=command.cwd,
            user=command.user,
            keep=command.keep,
            release=command.release,
            depth=command.depth,
            ender=command.ender,
        )
        try:
            started, reading = self._keeper.start(request, meanwhile)
            if started.error:
                raise CommandError(started, command.shown or command.argv[0], command.cwd)
        except BaseException:
            self._over = self._numbers
            raise
        self._action = _Action(self._numbers, command, reading, listener)
        return started.pid

    def follow(self) -> None:
        """Tell the listener of the command from now on: in the session's thread, or that of :meth:`wait`."""
        action = self._action
        assert action is not None
        self._last = action
        if not self._attended:
            self._begin_thread()
        if self._thread is not None:
            action.over = threading.Event()
        self._epoll.register(action.reading, select.EPOLLIN)
        action.followed = True
        self._epoll.modify(self._keeper.events.fileno(), select.EPOLLIN | select.EPOLLONESHOT)
        # After that: whoever cancels it from now on wakes the thread up.
        if action.deadline is not None or self._todo:
            os.eventfd_write(self._wake, 1)

    def wait(self) -> None:
        """Wait until the listener has been told of the end of the command that is followed, or was last."""
        action = self._last
        if action is None:
            return
        if action.over is not None:
            action.over.wait()
            return
        while not action.told and not self._closing:
            self._turn()
        if self._strays:
            # From now on somebody has to read, whether there is something to wait for or not.
            self._begin_thread()

    def cancel(self, limit: float | None = None) -> None:
        """End the command, by its own method or within ``limit`` seconds. Returns at once."""
        self._todo.append((self._numbers, limit))
        os.eventfd_write(self._wake, 1)

    def release(self, numbers: Sequence[int]) -> None:
        """Kill what the commands with these numbers left behind. Raises SandboxError where the keeper has gone."""
        self._keeper.release(numbers)

    def close(self) -> None:
        """Kill everything and wait for that; the directory is the caller's again."""
        self._closing = True
        self._keeper.end()
        os.eventfd_write(self._wake, 1)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        if (action := self._action) is not None:
            self._action = None
            self._close(action.reading)
            self._tell(action, -signal.SIGKILL, Outcome.CANCELED)
        for fd in list(self._strays):
            self._close(fd)
        self._epoll.close()
        self._keeper.events.close()
        os.close(self._wake)

    # The thread

    def _begin_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="job-session", daemon=True)
            self._thread.start()

    def _loop(self) -> None:
        while not self._closing:
            self._turn()

    def _turn(self) -> None:
        """Wait for something to happen, and see to it."""
        for fd, _ in self._epoll.poll(self._wait()):
            if self._closing:
                return
            if fd == self._wake:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wake)
                self._cancel_asked()
            elif fd == self._keeper.events.fileno():
                self._hear()
            else:
                self._read(fd)
        self._check_times()

    def _cancel_asked(self) -> None:
        """Cancel what was asked for; what is about to start waits until it is followed."""
        while self._todo:
            number, limit = self._todo[0]
            if number > self._over and (self._action is None or not self._action.followed):
                return
            self._todo.popleft()
            self._cancel(number, Outcome.CANCELED, limit)

    def _wait(self) -> float | None:
        action = self._action
        if action is None or not action.followed:
            return None
        times = [at for at in (action.deadline, action.kill_at) if at is not None]
        return min(max(0.0, min(times) - time.monotonic()), LONGEST_WAIT) if times else None

    def _check_times(self) -> None:
        action = self._action
        if action is None or not action.followed:
            return
        now = time.monotonic()
        if action.deadline is not None and now >= action.deadline:
            action.deadline = None
            self._cancel(action.number, Outcome.TIMEOUT, None)
        if action.kill_at is not None and now >= action.kill_at:
            action.kill_at = None
            self._keeper.kill(action.number)

    def _cancel(self, number: int, outcome: Outcome, limit: float | None) -> None:
        action = self._action
        if action is None or action.number != number:
            # What was to be cancelled has ended meanwhile, and the next one is none of its business.
            return
        seconds = action.command.notify if limit is None else min(action.command.notify, max(limit, 0.0))
        at = time.monotonic() + seconds
        if action.outcome is Outcome.BY_ITSELF:
            action.outcome = outcome
            action.deadline = None
            action.kill_at = at
            if seconds > 0:
                action.listener.notified(seconds)
                self._keeper.signal(action.number, signal.SIGTERM)
        elif action.kill_at is not None:
            # Else it is being killed already.
            action.kill_at = min(action.kill_at, at)

    def _read(self, fd: int) -> None:
        action = self._action
        listener = self._strays.get(fd)
        if action is not None and fd == action.reading:
            # Before it is followed, this is about a pipe that had the same number.
            listener = action.listener if action.followed else None
        if listener is None:
            return
        data = _read(fd, CHUNK)
        if data:
            if len(data) == PIPE:
                # It was full. There is a limit to what one user may have of that; then it stays as it is.
                with contextlib.suppress(OSError):
                    fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, CHUNK)
            listener.output(data)
        elif data is not None:
            self._close(fd)

    def _close(self, fd: int) -> None:
        """Read no more from ``fd``; -1 is one that was closed before."""
        if fd < 0:
            return
        # Closed last: then its number may be that of the next command's pipe, which another thread makes.
        self._strays.pop(fd, None)
        if self._action is not None and self._action.reading == fd:
            self._action.reading = -1
        with contextlib.suppress(FileNotFoundError):
            # Not by closing it alone: a fork of ours may have it, too.
            self._epoll.unregister(fd)
        os.close(fd)

    def _hear(self) -> None:
        """Take the end of the command, or of the keeper, which is that of the command too."""
        action = self._action
        if action is None:
            return
        ended = self._keeper.hear()
        if ended is None:
            action.outcome = Outcome.LOST
        if action.reading >= 0:
            self._drain(action)
        if action.reading < 0:
            # Nothing can print any more, which was noticed before.
            pass
        elif action.command.keep and action.outcome is Outcome.BY_ITSELF and not self._is_last_of(action):
            self._strays[action.reading] = action.listener
        else:
            self._close(action.reading)
        self._action = None
        self._over = action.number
        status, left = (ended.status, ended.left) if ended is not None else (-signal.SIGKILL, False)
        self._tell(action, status, action.outcome, left)

    @staticmethod
    def _tell(action: _Action, status: int, outcome: Outcome, left: bool = False) -> None:
        action.listener.ended(status, outcome, left)
        action.told = True
        if action.over is not None:
            action.over.set()

    @staticmethod
    def _is_last_of(action: _Action) -> bool:
        """Tell whether nothing that the command left behind can print any more."""
        data = _read(action.reading, CHUNK)
        if data:
            action.listener.output(data)
        return data == b""

    @staticmethod
    def _drain(action: _Action) -> None:
        """Read what was printed up to now, whoever may go on printing."""
        (waiting,) = struct.unpack("i", fcntl.ioctl(action.reading, termios.FIONREAD, bytes(4)))
        data = _read(action.reading, waiting) if waiting else b""
        if data:
            action.listener.output(data)


def _read(fd: int, size: int) -> bytes | None:
    try:
        return os.read(fd, size)
    except BlockingIOError:
        return None
