"""The keeper of a session: the process from which its commands are started, and that ends what they leave behind.

It is their subreaper, so that whatever loses its parent comes to it, and knows by a variable in the environment
which action a process is of. When the session goes, however that happens, it kills all of them and removes the
working directory.

Runs as a program: ``keeper.py REQUESTS_FD EVENTS_FD TOKEN DIRECTORY remove|keep``.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from osbuild_core.exports.jobs.descent import children, descendants, marker
from osbuild_core.protocol.keeper import MARKER, Ended, Started, StartRequest, receive, send, send_event

PR_SET_CHILD_SUBREAPER = 36

OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD, signal.SIGXFSZ)
"""Signals that we, or Python, treat in a way of our own, and that commands get as they are by default."""

PATIENCE = 10.0
"""Seconds that what was killed may take to be gone: a process in the kernel can take any time."""


class Running:
    """The command of an action."""

    def __init__(self, request: StartRequest, pid: int) -> None:
        self.number = request.number
        self.keep = request.keep
        self.release = list(request.release)
        self.depth = request.depth
        self.ender = list(request.ender)
        self.pid = pid
        self.output = -1


class Ending:
    """Waits for the processes of actions to be gone, having killed them; then reports."""

    def __init__(self, numbers: Iterable[int], report: Callable[[bool], None]) -> None:
        self.numbers = frozenset(numbers)
        self.report = report
        self.deadline = time.monotonic() + PATIENCE


class Keeper:
    """The loop."""

    def __init__(
        self, requests: socket.socket, events: socket.socket, token: str, directory: str, remove: bool
    ) -> None:
        self.requests = requests
        self.events = events
        self.token = token
        self.directory = directory
        self.removes = remove
        self.environment: dict[str, str] = {}
        self.running: dict[int, Running] = {}
        self.ending: list[Ending] = []
        self.kept: dict[int, int] = {}
        self.ender: list[str] = []
        self.pipe: tuple[int, int] | None = None
        self.null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self.wake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # The session decides when it ends; a Ctrl-C or a hang-up of its terminal is not for us.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: None)

    def run(self) -> None:
        """Serve until the session says that it is over, or is gone; then end everything."""
        poll = select.poll()
        poll.register(self.requests, select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        while True:
            wait = 100.0 if self.ending else None
            ready = [fd for fd, _ in poll.poll(wait)]
            if self.wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self.wake, 4096)
            if self.wake in ready or self.ending:
                self.reap()
            if self.requests.fileno() in ready and not self.serve():
                break

    def serve(self) -> bool:
        """Do what one request asks for; False where it is the last one."""
        try:
            message = receive(self.requests)
        except OSError:
            message = None
        if message is None:
            self.end()
            self.remove()
            return False
        request, _ = message
        match request.pop("do"):
            case "environment":
                self.environment = request["environment"]
            case "start":
                self.start(StartRequest(**request))
            case "signal":
                self.signal(request["number"], request["signal"])
            case "kill":
                self.kill(request["number"])
            case "release":
                self.ending.append(Ending(request["numbers"], lambda left: self.reply({"left": left})))
                self.reap()
            case "end":
                self.end()
                self.reply({})
                return False
        return True

    def reply(self, document: dict[str, Any], fds: Sequence[int] = ()) -> None:
        with contextlib.suppress(OSError):
            send(self.requests, document, fds)

    # Starting

    def make_pipe(self) -> tuple[int, int]:
        """Return the pipe that was made while there was time, or a new one: the end to read does not block."""
        if (pipe := self.pipe) is None:
            pipe = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(pipe[0], False)
        self.pipe = None
        return pipe

    def start(self, request: StartRequest) -> None:
        try:
            reading, writing = self.make_pipe()
        except OSError as error:
            self.reply(Started(error=error.errno or errno.EIO)._asdict())
            return
        started = self.spawn(request, writing)
        if started.error:
            self.pipe = reading, writing
            self.reply(started._asdict())
            return
        # We have it, too, until the command has ended: so the session is not woken up by the end of its output
        # first. (It would be where nothing holds the pipe open.)
        self.running[started.pid].output = writing
        self.reply(started._asdict(), [reading])
        os.close(reading)

    def spawn(self, request: StartRequest, output: int) -> Started:
        environment = dict(self.environment)
        for name, value in request.changes.items():
            if value is None:
                environment.pop(name, None)
            else:
                environment[name] = value
        mark = f"{self.token}.{request.number}"
        environment[MARKER] = mark
        if request.ender:
            self.ender = list(request.ender)
            request = request._replace(argv=[*request.argv, mark])
        try:
            if request.user is None and request.cwd == self.directory:
                pid = self.spawn_quickly(request, environment, output)
            else:
                pid = self.spawn_as(request, environment, output)
        except OSError as error:
            return Started(error=error.errno or errno.EIO, path=str(error.filename or ""))
        except (ValueError, subprocess.SubprocessError) as error:
            return Started(error=errno.EINVAL, path=str(error))
        self.running[pid] = Running(request, pid)
        return Started(pid=pid)

    def spawn_quickly(self, request: StartRequest, environment: dict[str, str], output: int) -> int:
        """Start a command where we are, and as who we are: posix_spawn(3) does that with the least ado."""
        actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate((self.null, output, output))]
        return os.posix_spawn(
            program_of(request.argv[0], environment),
            list(request.argv),
            environment,
            file_actions=actions,
            setsid=True,
            setsigdef=OURS,
        )

    def spawn_as(self, request: StartRequest, environment: dict[str, str], output: int) -> int:
        """Start a command somewhere else, or as somebody else."""
        who: dict[str, Any] = {}
        if request.user is not None:
            who = dict(zip(("user", "group", "extra_groups"), request.user, strict=True))
        process = subprocess.Popen(
            request.argv,
            stdin=self.null,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=request.cwd,
            start_new_session=True,
            **who,
        )
        # It is not Popen that waits.
        process.returncode = 0
        return process.pid

    # Ending

    def find(self, number: int) -> Running | None:
        return next((action for action in self.running.values() if action.number == number), None)

    def signal(self, number: int, which: int) -> None:
        action = self.find(number)
        if action is not None and action.ender:
            self.send_by_ender(signal.Signals(which).name.removeprefix("SIG"), f"{self.token}[.]{number}$")
            return
        pids = [action.pid] if action is not None else []
        for _ in range(action.depth if action is not None else 0):
            pids = [child for pid in pids for child in children(pid)]
        for pid in pids:
            _kill(pid, which)

    def kill(self, number: int) -> None:
        """Kill the command of an action with all that descends from it."""
        action = self.find(number)
        if action is None:
            return
        action.keep = False
        if action.ender:
            self.send_by_ender("KILL", f"{self.token}[.]{number}$")
        # Looked up before, while it can be seen whose they are; killed after, since it might notice.
        below = descendants(action.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(action.pid, signal.SIGKILL)
        for pid in below:
            _kill(pid)

    def send_by_ender(self, name: str, marks: str) -> None:
        """Have a signal sent by who may do that."""
        environment = {key: value for key, value in self.environment.items() if key != MARKER}
        line = [*self.ender, name, marks]
        with contextlib.suppress(OSError):
            subprocess.run(line, stdin=self.null, capture_output=True, env=environment)

    def reap(self) -> None:
        """Take the status of all that has ended, and see to what it left behind."""
        alone = False
        while True:
            try:
                # Only a look: as a zombie a command still holds the number of its process group.
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                alone = True
                break
            if found is None:
                break
            action = self.running.pop(found.si_pid, None)
            if action is not None and not action.keep:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(found.si_pid, signal.SIGKILL)
            _, status = os.waitpid(found.si_pid, 0)
            self.kept.pop(found.si_pid, None)
            if action is not None:
                self.ended(action, os.waitstatus_to_exitcode(status))
        self.ending = [item for item in self.ending if not self.is_over(item, alone)]

    def ended(self, action: Running, status: int) -> None:
        numbers = [*action.release] if action.keep else [action.number, *action.release]
        if action.keep:
            # From now on it is about those that were left behind, if there are any.
            os.close(action.output)
            for pid in children():
                if pid not in self.running:
                    self.kept.setdefault(pid, action.number)

        def report(left: bool) -> None:
            with contextlib.suppress(OSError):
                send_event(self.events, Ended(action.number, status, left))
            if not action.keep:
                os.close(action.output)
            if self.pipe is None:
                # For the next one, while nobody waits for it.
                with contextlib.suppress(OSError):
                    self.pipe = self.make_pipe()

        self.ending.append(Ending(numbers, report))

    def is_over(self, item: Ending, alone: bool) -> bool:
        """Kill what is left of the actions of ``item``; where that is nothing, report it."""
        left = [] if alone or not item.numbers else [p for p in children() if self.is_of(p, item.numbers)]
        if left and time.monotonic() < item.deadline:
            for pid in left:
                # What descends from it comes to us in turn.
                _kill(pid)
            for number in item.numbers if self.ender else ():
                self.send_by_ender("KILL", f"{self.token}[.]{number}$")
            return False
        item.report(bool(left))
        return True

    def is_of(self, pid: int, numbers: frozenset[int]) -> bool:
        """Tell whether an orphan is of one of the actions; one of which nothing is known is of the newest."""
        if pid in self.running:
            return False
        mark = marker(pid)
        token, _, number = mark.rpartition(".")
        if token == self.token and number.isdigit():
            return int(number) in numbers
        return self.kept.get(pid, max(numbers)) in numbers

    def end(self) -> None:
        """Kill everything."""
        deadline = time.monotonic() + PATIENCE
        for pid in self.running:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        # Killing one may hand us its children in turn, so until there are none.
        while (found := children()) and time.monotonic() < deadline:
            if self.ender:
                self.send_by_ender("KILL", f"{self.token}[.]")
            for pid in found:
                _kill(pid)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG) != (0, 0):
                    pass
            if children():
                time.sleep(0.002)

    def remove(self) -> None:
        """Remove the working directory, which the session had no time for."""
        if self.removes:
            import shutil

            os.chdir("/")
            shutil.rmtree(self.directory, ignore_errors=True)
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(self.directory))


def program_of(command: str, environment: dict[str, str]) -> str:
    """Return where ``command`` is, as its own PATH says. Raises OSError."""
    if "/" in command:
        return command
    found = errno.ENOENT
    for directory in environment.get("PATH", os.defpath).split(":"):
        path = f"{directory or '.'}/{command}"
        # To try it out would cost a process.
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
        if os.path.isfile(path):
            found = errno.EACCES
    raise OSError(found, os.strerror(found), command)


def _kill(pid: int, which: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, which)


def main(argv: list[str]) -> None:
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    requests, events = (socket.socket(fileno=int(number)) for number in argv[1:3])
    for end in (requests, events):
        end.set_inheritable(False)
    os.chdir(argv[4])
    # What is there now stays; what comes is little, and in no circles.
    gc.disable()
    Keeper(requests, events, argv[3], argv[4], argv[5] == "remove").run()
