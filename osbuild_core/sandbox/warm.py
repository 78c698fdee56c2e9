"""The spawner: a small warm process from which everything that a build runs is forked.

It has one thread, so that forking is safe and parent-death signals are tied to the process and not to
a worker thread of the engine; it has the SDK imported, so that a host service in Python starts in
about a millisecond; it is a child subreaper, so that what a service leaves behind comes back to it and
is killed; and it ends, with all that it started, when the engine does, however that happens.

Runs as a program: ``warm.py CONTROL_FD SDK_DIRECTORY``.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from typing import Any, NoReturn

import prctl

from osbuild_core.protocol.spawn import FDS_MAX, PACKET_MAX, SpawnRequest

CLONE_NEWNS = 0x00020000

OURS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD)
"""Signals that we treat in our own way, and that what we start gets back as they were."""

FAILED = 126
"""The status of what could not be started."""

GRACE = 10.0
"""Seconds that host services get to free what they hold once the engine has gone."""

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(slots=True)
class Child:
    pid: int
    status: socket.socket
    leashed: bool
    returncode: int = 0


class Spawner:
    """The loop: requests in, exit statuses out."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.children: dict[int, Child] = {}
        self.poll = select.poll()
        self.ending: list[Child] = []
        self.home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self.by_fd: dict[int, Child] = {}
        self.wake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # The engine decides when a run ends; a Ctrl-C or a hang-up of its terminal is not for us.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        self.poll.register(self.control, select.POLLIN)
        self.poll.register(self.wake, select.POLLIN)

    def run(self) -> None:
        """Serve until the engine closes the control socket, then end everything."""
        while True:
            for fd, _ in self.poll.poll():
                if fd == self.control.fileno():
                    if not self.serve():
                        self.end()
                        return
                elif fd == self.wake:
                    self.reap()
                elif fd in self.by_fd:
                    self.hear(self.by_fd[fd])

    def serve(self) -> bool:
        """Start what one request asks for; False at the end of the stream."""
        packet, fds, _, _ = socket.recv_fds(self.control, PACKET_MAX, FDS_MAX)
        for fd in fds:
            # Its parameter for flags does nothing before Python 3.12.
            os.set_inheritable(fd, False)
        if not packet:
            return False
        request = SpawnRequest.decode(packet)
        status = socket.socket(fileno=fds[0])
        if request.guarded:
            pid = self.execute(request, fds)
        else:
            pid = os.fork()
            if pid == 0:
                self.become(request, fds)
        for fd in fds[1:]:
            os.close(fd)
        if pid is None:
            status.send(json.dumps({"status": FAILED}).encode())
            status.close()
            return True
        child = Child(pid, status, request.leashed)
        self.children[pid] = child
        self.by_fd[status.fileno()] = child
        self.poll.register(status, select.POLLIN)
        return True

    def execute(self, request: SpawnRequest, fds: list[int]) -> int | None:
        """Start a program without a fork of ourselves, which takes four times as long; None where it fails.

        The new process is in the namespace that we are in at that moment.
        """
        present = {number: fds[index] for number, index in request.fds.items()}
        floor = max(present) + 1
        # Out of the way first: a target number may be the present number of another descriptor.
        moved = {number: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, floor) for number, fd in present.items()}
        actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)]
        actions += [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in moved.items()]
        try:
            if request.namespace is not None:
                enter(fds[request.namespace])
            return os.posix_spawn(
                request.argv[0],
                list(request.argv),
                dict(request.env),
                file_actions=actions,
                setsid=True,
                setsigdef=OURS,
            )
        except OSError as error:
            with contextlib.suppress(OSError, KeyError):
                os.write(present[2], f"cannot start {request.argv[0]}: {error.strerror}\n".encode())
            return None
        finally:
            enter(self.home)
            for fd in moved.values():
                os.close(fd)

    def hear(self, child: Child) -> None:
        try:
            packet = child.status.recv(4096)
        except ConnectionError:
            packet = b""
        if packet:
            self.kill(child, json.loads(packet)["signal"])
        else:
            self.forget(child)
            if child.leashed:
                self.kill(child, signal.SIGKILL)

    def forget(self, child: Child) -> None:
        """Stop listening to the status socket of ``child``."""
        fd = child.status.fileno()
        if fd >= 0:
            self.poll.unregister(fd)
            del self.by_fd[fd]
            child.status.close()

    @staticmethod
    def kill(child: Child, number: int) -> None:
        # Every child leads a process group, so its own children go with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)

    def reap(self) -> None:
        """Report every child that has ended, once what it left behind has ended too.

        What it leaves behind are processes of its group that came to us: of bubblewrap, the init of its
        pid namespace, which is gone only when every process of the sandbox is.
        """
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake, 4096)
        while True:
            try:
                # Only a look: as a zombie the child still holds its process group's number.
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            if found is None:
                break
            child = self.children.pop(found.si_pid, None)
            if child is not None:
                self.kill(child, signal.SIGKILL)
                self.ending.append(child)
            _, wait_status = os.waitpid(found.si_pid, 0)
            if child is not None:
                child.returncode = os.waitstatus_to_exitcode(wait_status)
        self.ending = [child for child in self.ending if not self.report(child)]

    def report(self, child: Child) -> bool:
        """Tell the engine that ``child`` has ended; False while any of its group is left."""
        try:
            if os.waitid(os.P_PGID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return False
        except ChildProcessError:
            pass
        if child.status.fileno() >= 0:
            with contextlib.suppress(OSError):
                child.status.send(json.dumps({"status": child.returncode}).encode())
            self.forget(child)
        return True

    def end(self) -> None:
        """End all: sandboxes at once, services when they have freed what they hold, then any orphan."""
        for child in self.children.values():
            if child.leashed:
                self.kill(child, signal.SIGKILL)
        deadline = time.monotonic() + GRACE
        while (self.children or self.ending) and time.monotonic() < deadline:
            select.select([self.wake], [], [], 0.05)
            self.reap()
        for child in self.children.values():
            self.kill(child, signal.SIGKILL)
        # Killing one may hand us its children in turn, so until there are none.
        while remaining := orphans():
            for pid in remaining:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-1, 0)

    def become(self, request: SpawnRequest, fds: list[int]) -> NoReturn:
        """In the new process: turn into what was asked for."""
        code = FAILED
        try:
            self.settle(request, fds)
            if request.python:
                code = run_module(list(request.argv))
            else:
                os.execve(request.argv[0], list(request.argv), dict(request.env))
        except BaseException as error:
            text = f"cannot start {request.argv[0]}: {error}\n"
            with contextlib.suppress(OSError):
                os.write(2, text.encode())
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def settle(self, request: SpawnRequest, fds: list[int]) -> None:
        parent = os.getppid()
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in OURS:
            signal.signal(number, signal.SIG_DFL)
        if request.leashed:
            prctl.set_pdeathsig(signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(FAILED)
        if request.namespace is not None:
            enter(fds[request.namespace])
        place_descriptors({number: fds[index] for number, index in request.fds.items()})
        os.chdir(request.cwd)
        if request.python:
            os.environ.clear()
            os.environ.update(request.env)


def enter(namespace: int) -> None:
    """Enter a mount namespace (setns(2)). Raises OSError."""
    if _libc.setns(namespace, CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "cannot enter the mount namespace")


def place_descriptors(wanted: dict[int, int]) -> None:
    """Make the descriptors ``wanted`` (number: present number) and /dev/null as 0 the only ones open."""
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    targets = {0: null, **wanted}
    # Out of the way first: a target number may be the present number of another descriptor.
    floor = max(targets) + 1
    moved = {number: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, floor) for number, fd in targets.items()}
    for number, fd in moved.items():
        os.dup2(fd, number, inheritable=True)
    previous = -1
    for number in sorted(targets):
        # Never an empty range: from 0 on, CPython passes that to close_range(2) as everything.
        if number > previous + 1:
            os.closerange(previous + 1, number)
        previous = number
    os.closerange(previous + 1, os.sysconf("SC_OPEN_MAX"))


def run_module(argv: list[str]) -> int:
    """Run a Python program in this process as ``__main__``; return its exit status."""
    import types

    path = argv[0]
    sys.argv = argv
    sys.stdin = open(0)  # noqa: SIM115
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    main = types.ModuleType("__main__")
    main.__file__ = path
    sys.modules["__main__"] = main
    try:
        with open(path, "rb") as file:
            code = compile(file.read(), path, "exec")
        exec(code, main.__dict__)
    except SystemExit as stop:
        if stop.code is None:
            return 0
        if isinstance(stop.code, int):
            return stop.code & 0xFF
        print(stop.code, file=sys.stderr)
        return 1
    except BaseException:
        import traceback

        traceback.print_exc()
        return 1
    return 0


def orphans() -> list[int]:
    """Return the processes whose parent we are, by birth or as their reaper (proc(5), ``children``).

    None where /proc is that of another pid namespace, as with ``unshare --pid --fork``: its numbers are not ours.
    """
    if os.readlink("/proc/self") != str(os.getpid()):
        return []
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(pid) for pid in file.read().split()]


def main(argv: list[str]) -> None:
    control = socket.socket(fileno=int(argv[1]))
    control.set_inheritable(False)
    # The user's own must not show in what is built.
    os.umask(0o022)
    sys.path.insert(0, argv[2])
    prctl.set_child_subreaper(1)
    prctl.set_name("osbuild-spawner")
    # What nearly every service needs; a fork then has it for nothing.
    for module in ("osbuild.api", "osbuild.inputs", "osbuild.devices", "osbuild.mounts", "osbuild.sources"):
        __import__(module)
    Spawner(control).run()


if __name__ == "__main__":
    main(sys.argv)
