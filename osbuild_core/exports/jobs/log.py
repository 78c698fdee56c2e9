"""Where a session writes what happens: ``LOG``, or whatever else it is given."""

from __future__ import annotations

import logging
from enum import Flag, auto
from typing import Protocol

LOG = logging.getLogger("osbuild_core.jobs")
"""Gets a record for each line that a session's commands print, and for what the session itself has to say.

Records have ``session_id`` and ``openjd_log_content`` (:class:`LogContent` or None). Nothing depends on its level
or its handlers.
"""
LOG.setLevel(logging.INFO)


class LogContent(Flag):
    """What a record of the log has in it."""

    BANNER = auto()
    FILE_PATH = auto()
    FILE_CONTENTS = auto()
    COMMAND_OUTPUT = auto()
    EXCEPTION_INFO = auto()
    PROCESS_CONTROL = auto()
    PARAMETER_INFO = auto()
    HOST_INFO = auto()


class Journal(Protocol):
    """What a session writes to; called from the session's threads, one call at a time."""

    def output(self, text: str) -> None:
        """Take what a command printed: whole lines, without a line feed after the last one."""

    def note(self, text: str, content: LogContent | None = None, level: int = logging.INFO) -> None:
        """Take what the session has to say: a line, or several."""


def _is_read(level: int) -> bool:
    """Tell whether anybody reads records of ``level``, of which there may be very many."""
    return LOG.isEnabledFor(level) and (level >= logging.WARNING or bool(LOG.handlers) or LOG.hasHandlers())


class LogJournal:
    """Writes to ``LOG``."""

    def __init__(self, session_id: str) -> None:
        self._extra = {"session_id": session_id, "openjd_log_content": LogContent.COMMAND_OUTPUT}
        self._id = session_id

    def output(self, text: str) -> None:
        if not _is_read(logging.INFO):
            return
        for line in text.split("\n"):
            record = LOG.makeRecord(LOG.name, logging.INFO, "", 0, line, (), None, None, self._extra)
            LOG.handle(record)

    def note(self, text: str, content: LogContent | None = None, level: int = logging.INFO) -> None:
        if not _is_read(level):
            return
        extra = {"session_id": self._id, "openjd_log_content": content}
        for line in text.split("\n"):
            LOG.handle(LOG.makeRecord(LOG.name, level, "", 0, line, (), None, None, extra))


class Guarded:
    """Another journal. One that cannot take a line gets no more of them: the session has to go on."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._works = True

    def output(self, text: str) -> None:
        if self._works:
            try:
                self._journal.output(text)
            except Exception:
                self._works = False

    def note(self, text: str, content: LogContent | None = None, level: int = logging.INFO) -> None:
        if self._works:
            try:
                self._journal.note(text, content, level)
            except Exception:
                self._works = False


def banner(journal: Journal, title: str) -> None:
    """Write a heading."""
    line = "=" * 46
    journal.note(f"\n{line}\n--------- {title}\n{line}", LogContent.BANNER)


def small_banner(journal: Journal, title: str) -> None:
    """Write a smaller heading."""
    line = "-" * 46
    journal.note(f"{line}\n{title}\n{line}", LogContent.BANNER)
