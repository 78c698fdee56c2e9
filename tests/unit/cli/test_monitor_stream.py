"""The descriptor of a monitor."""

from __future__ import annotations

import os
import threading

import pytest

from osbuild_core.cli.monitors.stream import Stream


@pytest.fixture
def pipe():
    ends = list(os.pipe())
    yield ends
    for fd in ends:
        if fd >= 0:
            os.close(fd)


def warnings(capsys):
    return capsys.readouterr().err.splitlines()


def test_text_goes_through_whole(pipe, capsys):
    reading, writing = pipe
    text = "ä" * 200_000
    got = []

    def read():
        while data := os.read(reading, 65536):
            got.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    Stream(writing).write(text)
    os.close(writing)
    pipe[1] = -1
    reader.join()
    assert b"".join(got).decode() == text
    assert warnings(capsys) == []


def test_no_program_that_we_start_gets_it(pipe):
    os.set_inheritable(pipe[1], True)
    Stream(pipe[1])
    assert not os.get_inheritable(pipe[1])


def test_a_reader_that_has_gone_is_one_warning(pipe, capsys):
    os.close(pipe[0])
    pipe[0] = -1
    stream = Stream(pipe[1])
    for _ in range(3):
        stream.write("text")
    (line,) = warnings(capsys)
    assert f"descriptor {pipe[1]}: Broken pipe" in line


@pytest.mark.parametrize("fd", [10**6, 10**30])
def test_what_is_not_open_is_one_warning(fd, capsys):
    stream = Stream(fd)
    assert len(warnings(capsys)) == 1
    stream.write("text")
    assert not stream.terminal and warnings(capsys) == []


def test_what_cannot_be_written_to_is_one_warning(pipe, capsys):
    Stream(pipe[0]).write("text")
    assert len(warnings(capsys)) == 1


@pytest.mark.parametrize("blocking", [True, False])
def test_in_a_hurry_nobody_waits_for_a_reader(pipe, capsys, blocking):
    os.set_blocking(pipe[1], blocking)
    stream = Stream(pipe[1])
    writer = threading.Thread(target=stream.write, args=("x" * 1_000_000,), daemon=True)
    writer.start()
    stream.hurry()
    writer.join(60)
    assert not writer.is_alive()
    (line,) = warnings(capsys)
    assert "nobody reads it" in line


def test_a_terminal():
    near, far = os.openpty()
    assert Stream(far).terminal
    os.close(near)
    os.close(far)
