"""Format strings: text with references in double braces, ``frame {{ Task.Param.Frame }}``.

A reference is a name with dots. White space around names, dots and braces is of no meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from osbuild_core.exports.jobs.errors import FormatStringError

_NAME = re.compile(r"\s*([^\W\d]\w*(?:\s*\.\s*[^\W\d]\w*)*)\s*")
_SPACE = re.compile(r"\s+")


class Reference(NamedTuple):
    """What stands between two pairs of braces: the symbol's full name, and where the braces are."""

    name: str
    start: int
    end: int


class FormatString(str):
    """A string whose references are resolved later; as a ``str`` it is what was written.

    ``parts`` is the text cut up at its references. Raises FormatStringError where braces do not match, or
    where there is no name between them.
    """

    __slots__ = ("parts",)
    parts: tuple[str | Reference, ...]

    def __new__(cls, text: str) -> FormatString:
        self = super().__new__(cls, text)
        # Most strings of a template have no references.
        self.parts = tuple(_parse(text)) if "{{" in text or "}}" in text else (text,)
        return self

    @property
    def references(self) -> tuple[Reference, ...]:
        """The references, in the order in which they stand."""
        return tuple(part for part in self.parts if isinstance(part, Reference))

    @property
    def original_value(self) -> str:
        """The text as it was written."""
        return str(self)

    def resolve(self, symbols: Mapping[str, str]) -> str:
        """Return the text with each reference replaced by its value.

        Raises FormatStringError for a name that ``symbols`` does not have.
        """
        if len(self.parts) == 1 and not isinstance(self.parts[0], Reference):
            return self.parts[0]
        pieces = []
        for part in self.parts:
            if isinstance(part, Reference):
                value = symbols.get(part.name)
                if value is None:
                    raise FormatStringError(
                        f"{str(self)[part.start : part.end]}: {part.name} has no value here"
                    )
                pieces.append(value)
            else:
                pieces.append(part)
        return "".join(pieces)


def _parse(text: str) -> Iterator[str | Reference]:
    """Yield text and references in turn. Raises FormatStringError."""
    at = 0
    while at < len(text):
        start, close = text.find("{{", at), text.find("}}", at)
        if start < 0 and close < 0:
            yield text[at:]
            return
        if close < 0 or 0 <= close < start or start < 0:
            missing = "}}" if start >= 0 and (close < 0 or start < close) else "{{"
            where = start if missing == "}}" else close
            raise FormatStringError(
                f"the braces at character {where + 1} have no {missing!r} to go with them"
            )
        if start > at:
            yield text[at:start]
        inside = text[start + 2 : close]
        match = _NAME.fullmatch(inside)
        at = close + 2
        if match is None:
            what = repr(inside.strip()) if inside.strip() else "nothing"
            raise FormatStringError(f"{text[start:at]!r} has {what} where a name like 'Param.Frames' belongs")
        yield Reference(_SPACE.sub("", match[1]), start, at)
