"""What a template may look like, as tables: shapes that read a value and note everything wrong with it.

A shape is a frozen description (a text of up to 64 characters, a list of at most 16 records). ``read`` turns
a value of a document into one of ours; what is wrong is noted with its place, and reading goes on beside it.
The same tables give the JSON Schema (:mod:`osbuild_core.exports.jobs.schema`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from osbuild_core.exports.jobs.errors import FormatStringError, kind, near
from osbuild_core.exports.jobs.formatstring import FormatString
from osbuild_core.model.errors import Issue, Path

if TYPE_CHECKING:
    from decimal import Decimal

BUNDLE = "FEATURE_BUNDLE_1"

Limit: TypeAlias = int | tuple[int, int] | None
"""How much is allowed: always, or (without FEATURE_BUNDLE_1, with it); None for no limit."""

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
CONTROL_BUT_LINES = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]")
CONTROL_BUT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INTEGER = re.compile(r"\s*[-+]?[0-9]{1,4000}\s*")
_NUMBER = re.compile(r"\s*[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,5})?\s*")


class Scope(NamedTuple):
    """The names that format strings may use: those known when a job is submitted, those known when it runs."""

    submit: tuple[frozenset[str], ...] = ()
    run: tuple[frozenset[str], ...] = ()

    def plus(self, names: frozenset[str]) -> Scope:
        """Return this scope with ``names`` known when the job runs."""
        return Scope(self.submit, (*self.run, names)) if names else self


class Reader:
    """What reading one document has found: the extensions it may use, and what is wrong with it."""

    def __init__(self, extensions: frozenset[str] = frozenset()) -> None:
        self.extensions = extensions
        self.issues: list[Issue] = []

    def add(self, path: Path, message: str, *, code: str = "job.value", hint: str | None = None) -> None:
        """Note that what stands at ``path`` is wrong."""
        self.issues.append(Issue(message, path, code, hint))

    def limit(self, limit: Limit) -> int | None:
        """Return what ``limit`` is with the extensions of this document."""
        return limit[BUNDLE in self.extensions] if isinstance(limit, tuple) else limit

    def allows(self, extension: str | None, path: Path, what: str) -> bool:
        """Return whether ``what`` may be used; note it where it needs an extension that is not there."""
        if extension is None or extension in self.extensions:
            return True
        hint = f"extensions: [{extension}]"
        self.add(path, f"{what} needs the extension {extension}", code="job.extension", hint=hint)
        return False

    def references(self, text: FormatString, path: Path, scope: Scope, running: bool) -> None:
        """Note the references of ``text`` that nothing in ``scope`` stands behind."""
        known = scope.run if running else scope.submit
        for reference in text.references:
            name = reference.name
            if any(name in names for names in known):
                continue
            hint = near(name, [other for names in known for other in names])
            if not running and any(name in names for names in scope.run):
                what = f"{name} is known only when the job runs"
                if name.startswith("Param."):
                    hint = f"Raw{name} is the path as it was given"
            else:
                what = f"nothing here is called {name}"
            self.add(path, what, code="job.reference", hint=hint)


class Shape(Protocol):
    """Reads a value; None where it is wrong, which is noted."""

    def read(self, value: Any, path: Path, reader: Reader, scope: Scope) -> Any: ...


def _plural(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def check_length(
    size: int, least: int, most: Limit, what: str, path: Path, reader: Reader, code: str = "job.length"
) -> bool:
    """Return whether ``size`` is allowed; note it where it is not."""
    allowed = reader.limit(most)
    if size < least:
        message = "it is empty" if size == 0 else f"it has {_plural(size, what)}, at least {least} are needed"
        reader.add(path, message, code=code)
        return False
    if allowed is not None and size > allowed:
        hint = None
        if isinstance(most, tuple) and size <= most[1] and BUNDLE not in reader.extensions:
            hint = f"with the extension {BUNDLE} it may have {most[1]}"
        reader.add(path, f"it has {_plural(size, what)}, at most {allowed} are allowed", code=code, hint=hint)
        return False
    return True


class Text(NamedTuple):
    """A string.

    ``form`` has to match all of it, and ``form_text`` says so in words; ``forbidden`` must not occur. A text
    that ``formats`` becomes a :class:`FormatString` whose references are checked: when the job is
    submitted, or, with ``running``, when it runs. With ``resolved`` the limits are those of what it becomes.
    """

    most: Limit = None
    least: int = 1
    forbidden: re.Pattern[str] | None = None
    form: re.Pattern[str] | None = None
    form_text: str = ""
    formats: bool = False
    running: bool = False
    resolved: bool = False
    check: Callable[[str], str | None] | None = None

    def read(self, value: Any, path: Path, reader: Reader, scope: Scope) -> Any:
        if not isinstance(value, str):
            hint = f'write "{value}"' if isinstance(value, (int, float)) else None
            reader.add(path, f"it has to be a string, not {kind(value)}", code="job.type", hint=hint)
            return None
        text = value
        if self.formats:
            try:
                text = FormatString(value)
            except FormatStringError as error:
                reader.add(path, str(error), code="job.format-string")
                return None
            if "{{" in value:
                reader.references(text, path, scope, self.running)
                if self.resolved:
                    return text if self._characters(value, path, reader) else None
        return text if self.allows(value, path, reader) else None

    def allows(self, value: str, path: Path, reader: Reader) -> bool:
        """Return whether ``value`` is within the limits; note what is not."""
        if not check_length(len(value), self.least, self.most, "character", path, reader):
            return False
        return self._characters(value, path, reader)

    def _characters(self, value: str, path: Path, reader: Reader) -> bool:
        if self.forbidden is not None and (found := self.forbidden.search(value)):
            message = f"it has the control character U+{ord(found[0]):04X}"
            reader.add(path, message, code="job.characters")
            return False
        if self.form is not None and not self.form.fullmatch(value):
            reader.add(path, f"{short(value)} is not {self.form_text}", code="job.characters")
            return False
        if self.check is not None and (problem := self.check(value)):
            reader.add(path, problem)
            return False
        return True


def short(value: str) -> str:
    """Return ``value`` quoted, and cut where it is long."""
    return repr(value if len(value) <= 80 else value[:77] + "...")


class Whole(NamedTuple):
    """A whole number, from ``low`` to ``high``; unless ``strict`` also as a string, or as a float like 10.0.

    ``formats`` also allows a format string, ``extension`` if the document has that.
    """

    low: int | None = None
    high: int | None = None
    strict: bool = False
    floats: bool = True
    formats: bool = False
    extension: str | None = None

    def read(self, value: Any, path: Path, reader: Reader, scope: Scope) -> Any:
        number: int | None = None
        if isinstance(value, bool):
            pass
        elif isinstance(value, int):
            number = value
        elif isinstance(value, float) and value.is_integer() and self.floats and not self.strict:
            number = int(value)
        elif isinstance(value, str) and not self.strict:
            if self.formats and "{{" in value:
                return _number_format(self.extension, value, path, reader, scope)
            number = int(value) if _INTEGER.fullmatch(value) else None
        if number is None:
            reader.add(path, f"it has to be a whole number, not {shown(value)}", code="job.type")
            return None
        return number if self.allows(number, path, reader) else None

    def allows(self, number: int, path: Path, reader: Reader) -> bool:
        """Return whether ``number`` is within the limits; note it where it is not."""
        if self.low is not None and number < self.low:
            reader.add(path, f"it is {_digits(number)}, at least {self.low} is needed", code="job.bounds")
        elif self.high is not None and number > self.high:
            reader.add(path, f"it is {_digits(number)}, at most {self.high} is allowed", code="job.bounds")
        else:
            return True
        return False


def _digits(number: int) -> str:
    return str(number) if abs(number) < 10**40 else "a very long number"


class Number(NamedTuple):
    """A finite number, also as a string: a Decimal. ``low`` is the least, or with ``above`` what it exceeds."""

    low: int | None = None
    above: bool = False
    strict: bool = False
    formats: bool = False
    extension: str | None = None

    def read(self, value: Any, path: Path, reader: Reader, scope: Scope) -> Any:
        number: Decimal | None = None
        if isinstance(value, str) and self.formats and "{{" in value:
            return _number_format(self.extension, value, path, reader, scope)
        if not isinstance(value, bool) and not (isinstance(value, str) and self.strict):
            number = decimal(value)
        if number is None:
            reader.add(path, f"it has to be a number, not {shown(value)}", code="job.type")
            return None
        if self.low is not None and (number <= self.low if self.above else number < self.low):
            needed = f"more than {self.low}" if self.above else f"at least {self.low}"
            reader.add(path, f"it is {number}, {needed} is needed", code="job.bounds")
            return None
        return number


def decimal(value: object) -> Decimal | None:
    """Return the finite number that ``value`` is or spells; None where it is none."""
    if not isinstance(value, (int, float, str)) or isinstance(value, bool):
        return None
    text = str(value) if isinstance(value, str) or not isinstance(value, int) else _digits(value)
    if not _NUMBER.fullmatch(text):
        return None
    from decimal import Decimal

    # From the text: a float's own value has digits that nobody wrote.
    return Decimal(text.strip())


def integer(value: str) -> int | None:
    """Return the whole number that ``value`` spells; None where it spells none."""
    return int(value) if _INTEGER.fullmatch(value) else None


def _number_format(
    extension: str | None, value: str, path: Path, reader: Reader, scope: Scope
) -> FormatString | None:
    if not reader.allows(extension, path, "a format string here"):
        return None
    text = Text(formats=True).read(value, path, reader, scope)
    return text if isinstance(text, FormatString) else None


class Flag(NamedTuple):
    """True or false."""

    def read(self, value: Any, path: Path, reader: Reader, scope: Scope) -> Any:
        if isinstance(value, bool):
            return value
        hint = "write true or false" if isinstance(value, (str, int)) else None
        reader.add(path, f"it has to be true or false, not {shown(value)}", code="job.type", hint=hint)
        return None


def shown(value: Any) -> str:
    """Return what messages call ``value``: itself, or what kind of thing it is."""
    if isinstance(value, str):
        return short(value)
    return str(value) if isinstance(value, float) else kind(value)


class Choice(NamedTuple):
    """One of a few words."""

    words: tuple[str, ...]

    def read(self, value: Any, path: Path, reader: Reader, scope: Scope) -> Any:
        if isinstance(value, str) and value in self.words:
            return value
        others = ", ".join(self.words)
        hint = near(value.upper(), self.words) if isinstance(value, str) else None
        reader.add(path, f"{shown(value)} is not one of {others}", code="job.choice", hint=hint)
        return None
