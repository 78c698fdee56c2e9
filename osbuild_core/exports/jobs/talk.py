"""What a command prints, cut into lines: messages are taken out and told, the rest goes to the journal."""

from __future__ import annotations

from collections.abc import Callable

from osbuild_core.exports.jobs.log import Journal
from osbuild_core.exports.jobs.messages import (
    MARK,
    Message,
    MessageError,
    MessageKind,
    Redactor,
    hide_assignment,
    parse_message,
)

LONGEST_LINE = 64_000
"""Bytes; what is longer without a line feed is passed on in pieces, of which only the first can be a message."""

_ENDS = (b"jd_", b"JD_", b"Jd_", b"jD_")
"""What is in any line with a mark: quicker to look for than the mark in any case of letters."""


class Talk:
    """The output of one command.

    ``heard`` gets each message before its line is shown, ``broken`` what was meant to be one.
    """

    def __init__(
        self,
        journal: Journal,
        redactor: Redactor,
        heard: Callable[[Message], None],
        broken: Callable[[MessageError], None],
    ) -> None:
        self._journal = journal
        self._redactor = redactor
        self._heard = heard
        self._broken = broken
        self._rest = b""
        self._inside = False
        self._over = False

    def feed(self, data: bytes) -> None:
        """Take what was printed."""
        whole, feed, rest = data.rpartition(b"\n")
        if feed:
            self._block(self._rest + whole if self._rest else whole)
            self._rest = rest
        else:
            self._rest += data
        while len(self._rest) > LONGEST_LINE:
            at = LONGEST_LINE
            # Not in the middle of a character.
            while at > LONGEST_LINE - 4 and self._rest[at] & 0xC0 == 0x80:
                at -= 1
            piece, self._rest = self._rest[:at], self._rest[at:]
            self._block(piece)
            self._inside = True

    def end(self) -> None:
        """Take the last line as whole. What comes after is shown, but no message any more."""
        if self._rest:
            self._block(self._rest)
            self._rest = b""
        self._over = True

    def _block(self, block: bytes) -> None:
        """Take whole lines, the last one without its line feed."""
        inside, self._inside = self._inside, False
        text = block.decode(errors="replace")
        if "\r" in text:
            text = text.replace("\r\n", "\n").removesuffix("\r")
        # Nearly all output is quick to see through as nothing else.
        if self._over or not (b"_" in block and any(end in block for end in _ENDS)):
            self._show(text)
            return
        ordinary: list[str] = []
        for line in text.split("\n"):
            if inside or MARK not in line.lower():
                # The rest of a long line is none of its own.
                inside = False
                ordinary.append(line)
                continue
            if ordinary:
                self._show("\n".join(ordinary))
                ordinary = []
            self._line(line)
        if ordinary:
            self._show("\n".join(ordinary))

    def _line(self, line: str) -> None:
        try:
            message = parse_message(line)
        except MessageError as error:
            self._hide(line)
            self._show(f"{hide_assignment(line)} -- ERROR: {error.detail}")
            self._broken(error)
            return
        if message is None:
            self._show(hide_assignment(line))
            return
        if message.kind is MessageKind.REDACTED_ENV:
            self._redactor.add(message.text)
        self._heard(message)
        self._show(hide_assignment(line))

    def _hide(self, line: str) -> None:
        """Hide the value in a line that was meant to set a redacted variable, whatever is wrong with it."""
        _, found, rest = line.partition(":")
        if found and "redacted" in line.lower():
            value = rest.partition("=")[2] or rest
            if value.strip():
                self._redactor.add(value.strip())

    def _show(self, text: str) -> None:
        self._journal.output(self._redactor.text(text))
