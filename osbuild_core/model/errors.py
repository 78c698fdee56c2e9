"""The errors that leave a layer: one root, a few subclasses, each with code, place and hint.

Faces print one line, the place in the manifest and the hint; tests assert codes, not prose.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

Path = tuple[str | int, ...]
"""A place in a manifest, from its root: ``("pipelines", 2, "stages", 5, "options")``."""


def place_text(path: Path) -> str:
    """Return ``path`` as people write it: ``pipelines[2].stages[5].options``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


class OsbuildError(Exception):
    """Root of all errors that a face shows to its user.

    ``code`` is stable and made of words with dots (``manifest.unknown-stage``); ``detail`` is one
    line; ``hint`` says what to do about it; ``place`` is where in the manifest; ``retryable`` tells
    whether the same call may succeed later.
    """

    code = "error"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        place: Path = (),
        retryable: bool = False,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.place = place
        self.retryable = retryable
        if code is not None:
            self.code = code


class Issue(NamedTuple):
    """One thing that is wrong with a manifest, and where."""

    message: str
    path: Path = ()
    code: str = "manifest.schema"
    hint: str | None = None


class ManifestError(OsbuildError):
    """A manifest was refused; ``issues`` has every reason, not only the first."""

    code = "manifest.invalid"

    def __init__(self, issues: Iterable[Issue]) -> None:
        self.issues = tuple(issues)
        first = self.issues[0]
        super().__init__(first.message, code=first.code, hint=first.hint, place=first.path)


class UsageError(OsbuildError):
    """What the caller asked for cannot be done: an unknown export, a missing directory."""

    code = "usage"


class ModuleError(OsbuildError):
    """A module (stage, input, source, …) is missing or its metadata is broken."""

    code = "module"


class ServiceError(OsbuildError):
    """A host service (input, device, mount, source, export) failed or broke its protocol."""

    code = "service"


class SandboxError(OsbuildError):
    """The sandbox could not be set up: no bubblewrap, no interpreter, no runner."""

    code = "sandbox"


class StoreError(OsbuildError):
    """The object store cannot be used, or an object in it is not what it should be."""

    code = "store"


class ResolveError(OsbuildError):
    """A template cannot become a manifest: unknown variable, unsolvable package set."""

    code = "resolve"


class Cancelled(OsbuildError):
    """The run was cancelled, by its user or because something else in it failed."""

    code = "cancelled"
