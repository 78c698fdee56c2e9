"""Cancellation reaches whoever asks, polls or is registered, and from wherever it comes."""

from __future__ import annotations

import os
import select
import signal

from osbuild_core.engine.cancel import Cancel


def readable(cancel):
    poll = select.poll()
    poll.register(cancel.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def test_it_is_seen_by_asking_and_by_polling():
    cancel = Cancel()
    assert not cancel.is_set() and not readable(cancel)
    cancel.set()
    cancel.set()
    assert cancel.is_set() and readable(cancel)
    cancel.close()


def test_what_is_registered_is_called_while_it_is_and_when_it_comes_too_late():
    cancel = Cancel()
    calls = []
    with cancel.stopping(lambda: calls.append("before")):
        pass
    with cancel.stopping(lambda: calls.append("one")), cancel.stopping(lambda: calls.append("two")):
        cancel.set()
    assert calls == ["one", "two"]
    with cancel.stopping(lambda: calls.append("late")):
        assert calls[-1] == "late"
    cancel.close()


def test_a_signal_handler_may_set_it():
    cancel = Cancel()
    calls = []
    before = signal.signal(signal.SIGUSR1, lambda *_: cancel.set())
    try:
        with cancel.stopping(lambda: calls.append("stopped")):
            os.kill(os.getpid(), signal.SIGUSR1)
            assert calls == ["stopped"]
    finally:
        signal.signal(signal.SIGUSR1, before)
    cancel.close()


def test_setting_one_that_is_closed_is_harmless():
    cancel = Cancel()
    cancel.close()
    cancel.set()
    assert cancel.is_set()
