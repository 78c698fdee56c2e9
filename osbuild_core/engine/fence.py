"""Ends a build that is no longer the one whose results count: a newer attempt at the same job has begun.

Whoever starts attempts writes a token of the newest into a file, in one step (a rename), and gives each attempt its
own. An attempt that finds another token there, or no file, stops before it keeps or publishes anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from osbuild_core.model.errors import Cancelled, UsageError


class Fence(NamedTuple):
    """``path`` is the file, ``token`` the attempt's own."""

    path: Path
    token: str

    def check(self) -> None:
        """Raise Cancelled (``fence.superseded``) where the file does not have the token."""
        try:
            current = self.path.read_text(encoding="utf-8", errors="replace").strip()
        except OSError as error:
            raise _superseded(f"{self.path} cannot be read: {error.strerror}") from error
        if current != self.token:
            raise _superseded(f"{self.path} names another one")


def _superseded(why: str) -> Cancelled:
    return Cancelled(
        f"this attempt has been superseded: {why}",
        code="fence.superseded",
        hint="nothing to do: the newer attempt builds the same",
    )


def parse_fence(text: str) -> Fence:
    """Return the fence of ``FILE:TOKEN``. Raises UsageError."""
    path, colon, token = text.rpartition(":")
    if not (path and colon and token.strip()):
        raise UsageError(
            f"{text!r} is no fence",
            code="usage.fence",
            hint="a file and a token: /shared/run/fence:attempt-2",
        )
    return Fence(Path(path), token.strip())
