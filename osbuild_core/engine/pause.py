"""A shell in the sandbox of a stage, before the stage itself runs: for looking, and for trying things out."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import termios
import tty
from collections.abc import Iterator
from typing import TYPE_CHECKING

from osbuild_core.sandbox.run import bubblewrap
from osbuild_core.sandbox.spec import SandboxSpec, bubblewrap_argv

if TYPE_CHECKING:
    from osbuild_core.engine.context import Context
    from osbuild_core.sandbox.spawner import Process

STDIN = 0
CHUNK = 4096

# What opens a terminal while it leads a session without one has it as its controlling terminal: Ctrl-C and job
# control work. The spawner starts everything as the leader of a session.
ON_TERMINAL = ("/bin/sh", "-c", 'exec <>"$0" >&0 2>&0 "$@"')


def open_shell(context: Context, spec: SandboxSpec, namespace: int, output: int) -> None:
    """Run /bin/bash in the sandbox ``spec`` and wait for its end, whatever its status.

    On a terminal, it gets one of its own, which is connected with ours; otherwise it reads our standard input
    and prints to the descriptor ``output``. Raises Cancelled where the run is cancelled meanwhile.
    """
    shell = spec._replace(argv=("/bin/bash",), seccomp=None)
    argv = bubblewrap_argv(shell, bubblewrap(), selinux=os.path.ismount("/sys/fs/selinux"))
    environment = dict(spec.environment)
    if os.isatty(STDIN):
        with _terminal() as (near, far):
            process = context.spawner.spawn(
                [*ON_TERMINAL, os.ttyname(far), *argv],
                env=environment,
                fds={1: far, 2: far},
                namespace=namespace,
            )
            with contextlib.closing(process):
                _connect(process, near, context.cancel.fileno())
    else:
        fds = {0: STDIN, 1: output, 2: output}
        process = context.spawner.spawn(argv, env=environment, fds=fds, namespace=namespace)
        with contextlib.closing(process):
            _connect(process, None, context.cancel.fileno())
    context.raise_if_cancelled()


@contextlib.contextmanager
def _terminal() -> Iterator[tuple[int, int]]:
    """Give the two ends of a new terminal like ours, which passes on every key until this ends."""
    before = termios.tcgetattr(STDIN)
    near, far = os.openpty()
    try:
        termios.tcsetattr(far, termios.TCSANOW, before)
        _copy_size(near)
        # What was typed before counts, too.
        tty.setraw(STDIN, termios.TCSADRAIN)
        yield near, far
    finally:
        termios.tcsetattr(STDIN, termios.TCSADRAIN, before)
        os.close(near)
        os.close(far)


def _copy_size(terminal: int) -> None:
    with contextlib.suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, fcntl.ioctl(STDIN, termios.TIOCGWINSZ, bytes(8)))


def _connect(process: Process, terminal: int | None, cancel: int) -> None:
    """Wait for the end of ``process``; kill it when ``cancel`` becomes readable. Meanwhile what is typed goes to
    ``terminal``, and what comes from there is shown."""
    ended = process.status_socket.fileno()
    poll = select.poll()
    for fd in (ended, cancel) if terminal is None else (ended, cancel, STDIN, terminal):
        poll.register(fd, select.POLLIN)
    while True:
        events = dict(poll.poll())
        if cancel in events:
            poll.unregister(cancel)
            process.signal(signal.SIGKILL)
        if terminal is not None and terminal in events:
            _show(os.read(terminal, CHUNK))
        elif ended in events:
            # All that it printed has been shown by now.
            process.wait()
            return
        if terminal is not None and STDIN in events:
            # The window may have another size by now; nobody tells a thread.
            _copy_size(terminal)
            typed = os.read(STDIN, CHUNK)
            os.write(terminal, typed)
            if not typed:
                poll.unregister(STDIN)


def _show(data: bytes) -> None:
    # Where the keys come from, whatever standard output is.
    while data:
        data = data[os.write(STDIN, data) :]
