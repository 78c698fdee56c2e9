"""The pages of the documentation as tests see them: blocks with their markers, links, anchors.

A marker is an HTML comment on the line before a block, unseen by readers: ``<!-- NAME: VALUE -->``.

``not run: REASON``    a shell block that cannot run in a test
``file: NAME``         the block is the content of a file, which the blocks after it find
``status: NUMBER``     the exit status of the block's last command, where it is not 0
``part: KIND``         the JSON is a part of a manifest: a pipeline, a stage, sources, exports
``refused: CODE``      the manifest is refused, for that reason
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])

LANGUAGES = frozenset({"console", "dockerfile", "ini", "json", "makefile", "python", "sh", "text", "yaml"})
MARKERS = frozenset({"not run", "file", "status", "part", "refused"})

_MARKER = re.compile(r"<!-- ([a-z ]+): (.+) -->")
_LINK = re.compile(r"\[[^\]\[]*\]\(([^)\s]+)\)")


def name_of(page: Path) -> str:
    """Return how tests call ``page``: its path below the root of the checkout."""
    return page.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Block:
    """A fenced block; ``line`` is where it begins in its page, from 1 on."""

    page: Path
    line: int
    language: str
    text: str
    markers: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return f"{name_of(self.page)}:{self.line}"

    def document(self) -> Any:
        """Return what the JSON of the block stands for."""
        return json.loads(self.text)


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of ``page`` in their order. Raises ValueError for one that is not as they have to be."""
    found: list[Block] = []
    markers: dict[str, str] = {}
    language: str | None = None
    lines: list[str] = []
    start = 0
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if language is not None:
            if line == "```":
                found.append(Block(page, start, language, "\n".join(lines) + "\n", markers))
                language, markers, lines = None, {}, []
            else:
                lines.append(line)
        elif line.startswith("```"):
            language, start = line[3:], number
            if language not in LANGUAGES:
                raise ValueError(f"{name_of(page)}:{number}: a block of the language {language!r}")
        elif marker := _MARKER.fullmatch(line):
            if marker[1] not in MARKERS:
                raise ValueError(f"{name_of(page)}:{number}: there is no marker {marker[1]!r}")
            markers[marker[1]] = marker[2]
        else:
            if "```" in line or markers or line.lstrip().startswith("<!--"):
                raise ValueError(f"{name_of(page)}:{number}: a block or marker that is not read: {line}")
    if language is not None:
        raise ValueError(f"{name_of(page)}:{start}: a block that does not end")
    return found


def prose_of(page: Path) -> str:
    """Return ``page`` without its blocks and without what stands in backquotes."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "`", text)


def links_of(page: Path) -> list[str]:
    """Return what the links of ``page`` lead to."""
    return _LINK.findall(prose_of(page))


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of the headings of ``page``, as GitHub and GitLab make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    anchors: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", text, re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        anchor, number = plain, 0
        while anchor in anchors:
            number += 1
            anchor = f"{plain}-{number}"
        anchors.add(anchor)
    return anchors
