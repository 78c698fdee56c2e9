"""What a command has changed, per image and region, and where it failed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from osbuild_core.exports.ami.run import IncompleteError, Result, failure_document
from osbuild_core.exports.aws.errors import AwsError


@dataclass(frozen=True)
class Changes:
    """``images`` is {image: {region: what was done}}, ``failed`` {region: why not}."""

    images: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    failed: dict[str, tuple[AwsError, ...]] = field(default_factory=dict)

    @property
    def success(self) -> bool:
        """Whether all regions did what they should."""
        return not self.failed

    def to_json(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return {
            "images": self.images,
            "failed": {region: failure_document(errors) for region, errors in self.failed.items()},
        }

    def lines(self) -> Iterator[str]:
        """Yield a line for each image and region."""
        for name, regions in self.images.items():
            for region, done in regions.items():
                yield f"{region}: {name}: {', '.join(done) or 'nothing to do'}"

    def raise_for_failures(self) -> None:
        """Raise IncompleteError where a region failed."""
        if self.failed:
            raise IncompleteError(Result(failed=self.failed))


class Record:
    """Changes as they are made, by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done: dict[str, dict[str, list[str]]] = {}
        self._failed: dict[str, list[AwsError]] = {}

    def done(self, name: str, region: str, *what: str) -> None:
        """Note what was done to an image; nothing at all is noted as well."""
        with self._lock:
            self._done.setdefault(name, {}).setdefault(region, []).extend(what)

    def failed(self, region: str, *errors: AwsError) -> None:
        """Note what went wrong in a region."""
        with self._lock:
            self._failed.setdefault(region, []).extend(errors)

    def changes(self) -> Changes:
        """Return all of it, in an order that does not depend on who was first."""
        return Changes(
            {name: dict(sorted(regions.items())) for name, regions in sorted(self._done.items())},
            {region: tuple(errors) for region, errors in sorted(self._failed.items()) if errors},
        )
