"""From the start of a command line to its exit status: errors, signals, standard streams."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
READER_GONE = 141


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived: unwind, clean up, and end with status 143 or 129."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__(number)
        self.number = number
        self.status = 128 + number


def _meaning(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)


def _end(number: int, _frame: FrameType | None) -> None:
    _go_deaf()
    raise _meaning(number)


def _deaf(_number: int, _frame: FrameType | None) -> None:
    """Do nothing. Unlike SIG_IGN, what we start does not inherit this."""


def _go_deaf() -> None:
    """Hear no signal from here on: the end has begun, and a second one would raise in the middle of it."""
    for number in _ending():
        signal.signal(number, _deaf)


def _ending() -> list[int]:
    """Return the signals that end us in good order. A hang-up that is ignored, as by nohup(1), stays ignored."""
    hang_up = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    numbers = [signal.SIGINT, signal.SIGTERM, *hang_up]
    return [number for number in numbers if signal.getsignal(number) is not _deaf]


def start(entry: Callable[[], int]) -> NoReturn:
    """Run ``entry`` as this process and exit."""
    _open_standard_streams()
    status = run(entry)
    # The interpreter takes its handlers away before it is gone itself.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(status)


def run(entry: Callable[[], int]) -> int:
    """Return the exit status of ``entry``: its own, 130 after SIGINT, 143 after SIGTERM, 129 after SIGHUP, 141
    where nobody reads the output to its end, 2 for a manifest that is refused and 1 for any other error, which is
    printed. The process hears no signal afterwards, which would only make a traceback."""
    try:
        for number in _ending():
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _end)
        status = entry()
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return _say("Aborted", INTERRUPTED)
    except Terminated as ended:
        return _say("Hung up" if ended.number == signal.SIGHUP else "Terminated", ended.status)
    except BrokenPipeError:
        # Whoever read our output has gone; nothing is left to be said to them, not even on the way out. No
        # failure: the status is that of a program which SIGPIPE ended.
        _discard_output()
        return READER_GONE
    except Exception as error:
        _go_deaf()
        from osbuild_core.cli.report import as_error, print_error

        known = as_error(error)
        if known is None:
            raise
        print_error(known)
        try:
            sys.stdout.flush()
        except OSError:
            # The error was about the output, which would be tried once more on the way out.
            _discard_output()
        return 2 if known.code.startswith("manifest.") else 1
    finally:
        _go_deaf()


def _discard_output() -> None:
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _say(text: str, status: int) -> int:
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr)
    return status


@contextlib.contextmanager
def cancelling(interrupt: Callable[[], None]) -> Iterator[None]:
    """Call ``interrupt`` when SIGINT, SIGTERM or SIGHUP arrives, once or more, and raise what it means at the end.

    An exception at any point would be a risk for a run of several threads, and for the cleaning up after it. Once
    it is raised, no other signal is heard.
    """
    arrived: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        arrived.append(number)
        interrupt()

    before = {number: signal.signal(number, note) for number in _ending()}
    try:
        yield
    finally:
        if not arrived:
            for number, handler in before.items():
                # Unless one within this has gone deaf.
                if signal.getsignal(number) is note:
                    signal.signal(number, handler)
        if arrived:
            _go_deaf()
            raise _meaning(arrived[0])


def _open_standard_streams() -> None:
    """Open those that we were started without: else a pipe or a lock file gets their numbers, and our output."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names in manifests and trees may have what a locale cannot write.
        sys.stdout.reconfigure(errors="backslashreplace")
