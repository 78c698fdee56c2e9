"""Messages of commands: what is one, what nearly is, what must not be seen."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbuild_core.exports.jobs.log import LogContent
from osbuild_core.exports.jobs.messages import (
    STARS,
    Message,
    MessageError,
    MessageKind,
    Redactor,
    hide_assignment,
    parse_message,
)
from osbuild_core.exports.jobs.talk import LONGEST_LINE, Talk


class Kept:
    """A journal that keeps everything."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.notes: list[str] = []

    def output(self, text: str) -> None:
        self.lines += text.split("\n")

    def note(self, text: str, content: LogContent | None = None, level: int = logging.INFO) -> None:
        self.notes += text.split("\n")


class Heard:
    """A talk, with what it told."""

    def __init__(self) -> None:
        self.journal = Kept()
        self.messages: list[Message] = []
        self.errors: list[MessageError] = []
        self.talk = Talk(self.journal, Redactor(), self.messages.append, self.errors.append)

    def feed(self, *pieces: bytes) -> Heard:
        for piece in pieces:
            self.talk.feed(piece)
        self.talk.end()
        return self


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("openjd_progress: 0", Message(MessageKind.PROGRESS, number=0)),
        ("openjd_progress: 99.5 ", Message(MessageKind.PROGRESS, number=99.5)),
        ("openjd_status: rendering", Message(MessageKind.STATUS, "rendering")),
        ("openjd_fail: no light", Message(MessageKind.FAIL, "no light")),
        ("openjd_env: A=1", Message(MessageKind.ENV, "1", name="A")),
        ("openjd_env:  A=", Message(MessageKind.ENV, "", name="A")),
        ("openjd_env: A=b = c ", Message(MessageKind.ENV, "b = c ", name="A")),
        (r'openjd_env: "A=one\ntwo"', Message(MessageKind.ENV, "one\ntwo", name="A")),
        ("openjd_redacted_env: A=1", Message(MessageKind.REDACTED_ENV, "1", name="A")),
        ("openjd_unset_env: A", Message(MessageKind.UNSET_ENV, name="A")),
        ("openjd_session_runtime_loglevel: debug", Message(MessageKind.LOG_LEVEL, number=logging.DEBUG)),
    ],
)
def test_messages(line: str, message: Message) -> None:
    assert parse_message(line) == message


@pytest.mark.parametrize(
    "line",
    [
        "",
        "progress: 10",
        " openjd_progress: 10",
        "OPENJD_PROGRESS: 10",
        "openjd_progress:10",
        "openjd_fail: ",
        "openjd_environment: ready",
        "openjd_env_setup: done",
        "see openjd_env: A=1",
        "openjd_envs",
    ],
)
def test_what_is_no_message(line: str) -> None:
    assert parse_message(line) is None


@pytest.mark.parametrize(
    ("line", "fatal"),
    [
        ("openjd_progress: 101", False),
        ("openjd_progress: -1", False),
        ("openjd_progress: nan", False),
        ("openjd_progress: half", False),
        ("openjd_session_runtime_loglevel: LOUD", False),
        (" openjd_env: A=1", True),
        ("openjd_env A=1", True),
        ("openjd_env:A=1", True),
        ("OpenJD_env: A=1", True),
        ("openjd_env: A", True),
        ("openjd_env: 1A=1", True),
        ("openjd_env: A =1", True),
        ('openjd_env: "A=1', True),
        ('openjd_env: "A', True),
        (r'openjd_env: "A=\u0000"', True),
        ("openjd_unset_env: A=1", True),
        ("openjd_unset_env: ", True),
        ("openjd_redacted_env: A", True),
        ("openjd_redacted_env", True),
    ],
)
def test_what_is_malformed(line: str, fatal: bool) -> None:
    with pytest.raises(MessageError) as caught:
        parse_message(line)
    assert caught.value.fatal is fatal
    assert caught.value.code == "job.message"
    assert "\n" not in caught.value.detail
    assert fatal is False or "A=1" not in caught.value.detail or "redacted" not in line


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("openjd_redacted_env: A=secret", f"openjd_redacted_env: A={STARS}"),
        ('openjd_redacted_env: "A=secret"', f'openjd_redacted_env: "A={STARS}'),
        ("openjd_redacted_env: secret", f"openjd_redacted_env: {STARS}"),
        (" OPENJD_REDACTED_ENV:A=secret", f" OPENJD_REDACTED_ENV:A={STARS}"),
        ("echo openjd_redacted_env: A=secret", f"echo openjd_redacted_env: A={STARS}"),
        ("openjd_env: A=plain", "openjd_env: A=plain"),
    ],
)
def test_lines_that_set_secrets(line: str, shown: str) -> None:
    assert hide_assignment(line) == shown


def test_secrets_are_hidden_wherever_they_stand() -> None:
    redactor = Redactor()
    redactor.add("abc")
    redactor.add("bcd")
    redactor.add("first\nmiddle\nlast")
    text = redactor.text("xabcdx abc\nmiddle\nthe middle\nfirst one\nat last\nnothing")
    assert text == f"x{STARS}x {STARS}\n{STARS}\nthe middle\n{STARS} one\nat {STARS}\nnothing"


def test_no_secret_is_hidden_before_there_is_one() -> None:
    redactor = Redactor()
    redactor.add("")
    assert redactor.text("a\n\nb") == "a\n\nb"


@given(st.lists(st.text("ab\n", min_size=1, max_size=5), max_size=3), st.text("abc\n", max_size=30))
def test_what_is_hidden_is_hidden(secrets: list[str], text: str) -> None:
    redactor = Redactor()
    for secret in secrets:
        redactor.add(secret)
    shown = redactor.text(text)
    assert shown.count("\n") == text.count("\n")
    for secret in secrets:
        if "\n" not in secret:
            assert secret not in shown


def test_lines_come_whole_however_they_were_written() -> None:
    heard = Heard().feed(b"one\ntw", b"o\nopenjd_pro", b"gress: 5", b"0\r\nth", b"ree")
    assert heard.journal.lines == ["one", "two", "openjd_progress: 50", "three"]
    assert heard.messages == [Message(MessageKind.PROGRESS, number=50)]


@given(
    st.lists(st.sampled_from([b"a", b"\n", b"openjd_status: x\n", b"\xc3", b"\xa9", b"\r\n"]), max_size=20)
)
def test_how_output_is_cut_does_not_matter(pieces: list[bytes]) -> None:
    whole, cut = Heard().feed(b"".join(pieces)), Heard().feed(*pieces)
    assert whole.messages == cut.messages
    # A carriage return may come to stand at the end of a piece.
    assert [line.rstrip("\r") for line in whole.journal.lines] == [
        line.rstrip("\r") for line in cut.journal.lines
    ]


def test_a_line_without_end_comes_in_pieces_of_which_only_the_first_can_be_a_message() -> None:
    long = "é" * LONGEST_LINE
    heard = Heard().feed(b"openjd_status: ", long.encode(), b"openjd_status: no\nopenjd_status: yes\n")
    assert "".join(heard.journal.lines[:-1]) == f"openjd_status: {long}openjd_status: no"
    assert heard.messages[-1] == Message(MessageKind.STATUS, "yes")
    assert len(heard.messages) == 2
    assert all(len(line.encode()) <= LONGEST_LINE for line in heard.journal.lines)


def test_a_secret_of_a_malformed_message_is_hidden_too() -> None:
    heard = Heard().feed(b" openjd_redacted_env: A=secret\nthe secret\n")
    assert [error.fatal for error in heard.errors] == [True]
    assert not any("secret" in line for line in heard.journal.lines)
    assert "secret" not in heard.errors[0].detail


def test_after_the_end_nothing_is_a_message() -> None:
    heard = Heard().feed(b"x")
    heard.talk.feed(b"openjd_status: late\n")
    assert heard.messages == []
    assert heard.journal.lines == ["x", "openjd_status: late"]


def test_what_is_no_text_does_no_harm() -> None:
    heard = Heard().feed(bytes(range(256)) * 3)
    assert "�" in "".join(heard.journal.lines)
