"""Which images of a group are too old to be kept."""

from __future__ import annotations

from collections.abc import Iterable

from osbuild_core.exports.ami.observe import FoundImage


def superfluous(images: Iterable[FoundImage], keep: int) -> list[FoundImage]:
    """Return all but the ``keep`` newest of ``images``, the oldest last."""
    newest_first = sorted(
        images, key=lambda image: (str(image.facts.get("CreationDate", "")), image.id), reverse=True
    )
    return newest_first[keep:]
