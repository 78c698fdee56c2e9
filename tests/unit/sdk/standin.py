"""Programs that stand in for ones that a test machine need not have: they write down how they were called."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

_PROGRAM = """#!/usr/bin/python3
import json, sys
given = sys.stdin.read()
with open({calls!r}, "a") as file:
    file.write(json.dumps([{name!r}, sys.argv[1:], given]) + "\\n")
args = sys.argv[1:]
{body}
"""


class StandIns:
    """Programs in a directory that comes first in PATH."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._calls = folder / "calls"
        folder.mkdir()
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def add(self, name: str, body: str = "") -> None:
        """Add the program ``name``; ``body`` is Python that knows ``args`` and ``given``, its standard input."""
        path = self.folder / name
        path.write_text(_PROGRAM.format(calls=str(self._calls), name=name, body=body))
        path.chmod(0o755)

    def calls(self) -> list[tuple[str, list[str], str]]:
        """Return (name, arguments, input) of each call so far, and forget them."""
        if not self._calls.exists():
            return []
        lines = self._calls.read_text().splitlines()
        self._calls.unlink()
        return [(name, args, given) for name, args, given in map(json.loads, lines)]
