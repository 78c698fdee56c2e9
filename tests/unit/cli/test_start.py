"""Exit statuses, and signals while something runs."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from osbuild_core.cli.documents import write
from osbuild_core.cli.start import Terminated, cancelling, run
from osbuild_core.model.errors import Issue, ManifestError, UsageError


@pytest.fixture(autouse=True)
def _handlers():
    """A run leaves its process deaf, which the next test is not to be."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def raising(error):
    def entry():
        raise error

    return entry


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (KeyboardInterrupt(), 130, "Aborted\n"),
        (Terminated(), 143, "Terminated\n"),
        (Terminated(signal.SIGHUP), 129, "Hung up\n"),
        (UsageError("wrong", hint="so"), 1, "error: wrong (so)\n"),
        (ManifestError([Issue("bad", ("sources",))]), 2, "error: sources: bad\n"),
        (PermissionError(13, "Permission denied", "/x"), 1, "error: Permission denied: /x\n"),
        (OSError(28, "No space left on device"), 1, "error: No space left on device, writing the output\n"),
        (BrokenPipeError(32, "Broken pipe"), 141, ""),
    ],
)
def test_what_ends_a_command_has_its_status_and_its_line(error, status, text, capsys):
    assert run(raising(error)) == status
    assert capsys.readouterr().err == text


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 // 0)


@pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated), (signal.SIGHUP, Terminated)],
)
def test_a_signal_is_raised_at_the_end_only(number, error):
    calls = []

    def work():
        with cancelling(lambda: calls.append("interrupted")):
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), signal.SIGINT)
            calls.append("went on")
            raise ValueError("a consequence")

    with pytest.raises(error):
        work()
    assert calls == ["interrupted", "interrupted", "went on"]


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_what_arrives_once_the_end_has_begun_is_not_heard(number, status, capsys):
    def all_signals():
        for other in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(os.getpid(), other)

    def work():
        try:
            with cancelling(lambda: None):
                os.kill(os.getpid(), number)
        finally:
            all_signals()
            with cancelling(lambda: None):
                all_signals()
            all_signals()
        return 0

    assert run(work) == status
    all_signals()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_outside_of_what_may_not_be_interrupted_a_signal_ends_it_at_once():
    def work():
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("not reached")

    assert run(work) == 130


def test_an_outer_part_leaves_what_an_inner_one_has_made_deaf(capsys):
    def work():
        try:
            with cancelling(lambda: None), cancelling(lambda: None):
                os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
        return 0

    assert run(work) == 143


def test_what_is_started_at_the_end_inherits_no_deafness():
    """Of a shell that ignores SIGTERM, say, all that it starts would ignore it."""
    run(raising(KeyboardInterrupt()))
    shown = subprocess.run(["grep", "SigIgn", "/proc/self/status"], capture_output=True, text=True).stdout
    assert not int(shown.split()[1], 16) & (1 << (signal.SIGTERM - 1) | 1 << (signal.SIGINT - 1))


def test_a_hang_up_that_is_ignored_stays_so():
    """As nohup(1) has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:

        def work():
            with cancelling(lambda: None):
                os.kill(os.getpid(), signal.SIGHUP)
            return 0

        assert run(work) == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_without_a_signal_nothing_is_raised():
    before = signal.getsignal(signal.SIGTERM)
    with cancelling(lambda: None):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_manifest_is_written_whole_and_replaces_only_files(tmp_path):
    target, link = tmp_path / "manifest.json", tmp_path / "link.json"
    target.write_text("old")
    link.symlink_to(target)
    write("new", link.resolve())
    assert link.is_symlink() and target.read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.json", "manifest.json"]
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    write("text", fifo)
    assert os.read(reading, 99) == b"text"
    assert fifo.is_fifo()
    os.close(reading)
