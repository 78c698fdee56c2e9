"""What is around a process that does a piece of work for who is not trusted.

Run as ``python -m osbuild_core.server.guard``.

.. code-block:: text

   worker ── guard ─────────────── init ──────────────────── task
             the gate, outside;    the first of a PID        root of a user namespace, with a network
             user first + 65536    namespace; the limits     that has nothing but the gate's socket

The namespaces end with init, and init with the guard, and the guard with the worker, whatever the task does: it can
reach none of them. A listening socket stays in the network that it was made in; so the task makes one, and the guard
answers it from outside, before anything that is not trusted is read.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from osbuild_core.server import namespaces

VARIABLE = "OSBUILD_CORE_GUARD"
"""Has the :class:`Plan` as JSON. The environment is closed to others; an argument would not be."""

_LOOK = 0.25
"""Seconds between looks at limits that the kernel does not keep, or keeps without a reason."""
_MORE_MEMORY, _MORE_PROCESSES = 2, 1024
"""The kernel's limits are so many times, and so many more than ours: of ours, the reason is told."""
_FIRST_TO_GO = 900
"""The machine is out of memory: what is confined ends before others (proc(5), oom_score_adj)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``first`` is the user of the machine that is root in there, ``home`` its directory; ``needed`` are directories
    that have to be reached from there, by what they are. ``shown`` are files and directories of the machine that are
    seen beside the system's, ``empty`` directories in them that are not. Limits: ``memory``, ``file`` and ``free``
    (on the file system of ``home``) are bytes, ``seconds`` is time by the clock. ``hosts`` and so on are those of
    :class:`~osbuild_core.exports.compose.relay.Way`."""

    first: int
    home: str
    needed: dict[str, str]
    memory: int
    processes: int
    file: int
    free: int
    seconds: float
    hosts: list[tuple[str, int]]
    shown: list[str]
    empty: list[str] = field(default_factory=list)
    everywhere: bool = False
    proxies: dict[str, str] = field(default_factory=dict)
    direct: str = ""


class _Refused(Exception):
    """The task cannot be confined."""


def main() -> int:
    """Have the task done; return its exit status."""
    parent = os.getppid()
    _end_with(parent)
    plan = Plan(**json.loads(os.environ.pop(VARIABLE)))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    # Each ends with who holds its other end; reasons come from init only.
    leash, holds_leash = os.pipe()
    alive, holds_alive = os.pipe()
    reasons, reason = os.pipe()
    held = [holds_leash]

    def stop(*_: object) -> None:
        while held:
            os.close(held.pop())

    signal.signal(signal.SIGTERM, stop)
    try:
        home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        namespaces.unshare(namespaces.PID)
        init = os.fork()
        if init == 0:
            _alone(
                lambda: _init(plan, theirs, leash, alive, reason, (ours.fileno(), holds_leash, holds_alive))
            )
        # Or we could have no threads.
        namespaces.enter(home, namespaces.PID)
        namespaces.become(plan.first + namespaces.IDS)
    except OSError as error:
        _say("server.confinement", _cannot(error.strerror))
        return 0
    # That was forgotten with the change of users.
    _end_with(parent)
    for end in (leash, alive, reason, home, 0):
        os.close(end)
    theirs.close()
    status = _answer(plan, ours, init)
    if text := os.read(reasons, 4096):
        _say("server.limit", text.decode())
    return status


def _cannot(reason: str | None) -> str:
    hint = "ask whoever runs this: user.max_user_namespaces, composes.confine"
    return f"cannot make this in a user namespace: {reason} ({hint})"


def _say(code: str, detail: str) -> None:
    """Tell the worker why the task failed. The task may have said half a line."""
    message = {"failed": {"code": code, "detail": detail, "retryable": False}}
    with contextlib.suppress(OSError):
        os.write(1, f"\n{json.dumps(message)}\n".encode())


def _end_with(parent: int) -> None:
    """End when the parent ends, however that is."""
    namespaces.die_with_parent()
    if os.getppid() != parent:
        sys.exit(1)


def _answer(plan: Plan, channel: socket.socket, init: int) -> int:
    """Answer the task's connections until init ends; return its exit status, or 128 and the signal."""
    with channel:
        _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    if descriptors:
        with socket.socket(fileno=descriptors[0]) as listener:
            _relay(plan, listener, init)
    _, status = os.waitpid(init, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _relay(plan: Plan, listener: socket.socket, init: int) -> None:
    import asyncio

    from osbuild_core.exports.compose.relay import Relay, Way

    way = Way(
        frozenset((host, port) for host, port in plan.hosts), plan.everywhere, plan.proxies, plan.direct
    )

    async def until_the_end() -> None:
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        descriptor = os.pidfd_open(init)
        loop.add_reader(descriptor, over.set)
        serving = loop.create_task(Relay(way).serve(listener))
        await over.wait()
        loop.remove_reader(descriptor)
        os.close(descriptor)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(until_the_end())


# The first process of the PID namespace


def _alone(what: Callable[[], int]) -> NoReturn:
    """Do ``what`` in a process that was forked, and end."""
    status = 1
    try:
        status = what()
    except Exception:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def _init(
    plan: Plan, channel: socket.socket, leash: int, alive: int, reason: int, others: Sequence[int]
) -> int:
    for end in others:
        os.close(end)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        namespaces.own_processes()
        home = os.open(plan.home, os.O_PATH | os.O_CLOEXEC)
        namespaces.show_only([*plan.shown, *plan.needed.values(), plan.home], plan.empty)
        task = os.fork()
    except OSError as error:
        _say("server.confinement", _cannot(error.strerror))
        return 0
    if task == 0:
        _alone(lambda: _task(plan, channel, leash, (alive, reason)))
    channel.close()
    for end in (leash, 0, 1):
        os.close(end)
    namespaces.become(plan.first + namespaces.IDS)
    # Should the guard be gone already, so is the other end of the pipe.
    namespaces.die_with_parent()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    return _watch(plan, task, home, alive, reason)


def _watch(plan: Plan, task: int, home: int, alive: int, reason: int) -> int:
    """Wait for the task, as parent of all that have none; return its exit status. All others end with us."""
    os.set_blocking(alive, False)
    end = time.monotonic() + plan.seconds
    looked = 0.0
    while True:
        while (found := os.waitpid(-1, os.WNOHANG))[0] != 0:
            if found[0] == task:
                code = os.waitstatus_to_exitcode(found[1])
                return code if code >= 0 else 128 - code
        with contextlib.suppress(BlockingIOError):
            # Nobody writes there: that is the end of the guard.
            os.read(alive, 1)
            return 1
        now = time.monotonic()
        if now >= looked + _LOOK:
            looked = now
            text = f"it took more than {plan.seconds:g} seconds" if now >= end else _too_much(plan, home)
            if text is not None:
                os.write(reason, f"the limit for who is not trusted is reached: {text}".encode())
                return 1
        signal.sigtimedwait({signal.SIGCHLD}, _LOOK)


def _too_much(plan: Plan, home: int) -> str | None:
    """Return what there is too much of."""
    memory = tasks = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and entry.name != "1":
            with contextlib.suppress(OSError):
                used, threads = _used(Path(entry.path, "status").read_text(errors="replace"))
                memory, tasks = memory + used, tasks + threads
    if tasks > plan.processes:
        return f"it has more than {plan.processes} processes and threads"
    if memory > plan.memory:
        return f"its processes have more than {plan.memory} bytes of memory"
    there = os.fstatvfs(home)
    if there.f_bavail * there.f_frsize < plan.free:
        return f"the file system has less than {plan.free} bytes left"
    return None


def _used(status: str) -> tuple[int, int]:
    """Return bytes of memory, without pages of files, and threads of a process. What it shares with the one that it
    was forked from counts for both."""
    memory = threads = 0
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name in ("RssAnon", "RssShmem", "VmSwap"):
            memory += int(value.split()[0]) * 1024
        elif name == "Threads":
            threads = int(value)
    return memory, threads


# The task


def _task(plan: Plan, channel: socket.socket, leash: int, others: Sequence[int]) -> int:
    """Become the task. Returns only where that fails, and has told why."""
    for end in others:
        os.close(end)
    try:
        os.setsid()
        # What is hidden would be reached from where we are.
        os.chdir(here if os.path.isdir(here := os.getcwd()) else "/")
        Path("/proc/self/oom_score_adj").write_text(str(_FIRST_TO_GO))
        namespaces.nobody(plan.first)
        with namespaces.listener() as listener:
            port = listener.getsockname()[1]
            socket.send_fds(channel, [b"x"], [listener.fileno()])
        _check_reached(plan.needed)
        namespaces.limit(_MORE_MEMORY * plan.memory, plan.processes + _MORE_PROCESSES, plan.file)
        namespaces.filter_calls()
        os.set_inheritable(leash, True)
        # The kernel does not hand on what is ignored by us.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        command = [sys.executable, "-m", "osbuild_core.server.task", str(leash)]
        os.execve(sys.executable, command, _environment(plan, port))
    except _Refused as error:
        _say("server.confinement", str(error))
    except OSError as error:
        _say("server.confinement", _cannot(error.strerror))
    return 0


def _check_reached(needed: dict[str, str]) -> None:
    for what, path in needed.items():
        if not os.access(path, os.R_OK | os.X_OK):
            raise _Refused(
                f"{what} cannot be reached from a user namespace"
                f" (whoever runs this lets others pass: chmod o+x, for all directories of {path})"
            )


def _environment(plan: Plan, port: int) -> dict[str, str]:
    from osbuild_core.exports.compose.proxies import environment, without_proxies

    return {
        **without_proxies(os.environ),
        **environment(port),
        "HOME": plan.home,
        "TMPDIR": plan.home,
        "XDG_CACHE_HOME": plan.home,
    }


if __name__ == "__main__":
    sys.exit(main())
