"""Who looks at a page, and which buttons they are shown. The API decides anew when one is pressed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request

from osbuild_core.server.access import Identity, Policy
from osbuild_core.server.refusal import Refusal
from osbuild_core.server.service import Service, sender


@dataclass(frozen=True, slots=True)
class Viewer:
    """``reading`` is who reads, ``writing`` who would change something; None is nobody."""

    reading: Identity | None
    writing: Identity | None
    policy: Policy

    @property
    def name(self) -> str | None:
        """What they are called, None for nobody."""
        return None if self.reading is None else self.reading.user

    @property
    def is_local(self) -> bool:
        """Whether the service has no authentication."""
        return self.reading is not None and self.reading.local

    def may_build(self) -> bool:
        """Tell whether they may submit manifests."""
        return self._passes(lambda: self.policy.builder(self.writing, "new-build"))

    def may_cancel(self, owner: str) -> bool:
        """Tell whether they may cancel a build of ``owner``."""
        return self._owns(owner) and self._passes(lambda: self.policy.builder(self.writing, "delete-build"))

    def may_compose(self) -> bool:
        """Tell whether they may ask for composes."""
        return self._passes(lambda: self.policy.client(self.writing, "new-compose"))

    def may_renew(self) -> bool:
        """Tell whether they may renew composes."""
        return self._passes(lambda: self.policy.client(self.writing, "renew-compose"))

    def may_remove(self, owner: str) -> bool:
        """Tell whether they may remove or cancel a compose of ``owner``."""
        return self._owns(owner) and self._passes(lambda: self.policy.client(self.writing, "delete-compose"))

    def _owns(self, owner: str) -> bool:
        who = self.writing
        return who is not None and (who.user == owner or self.policy.is_admin(who))

    def _passes(self, ask: Callable[[], Identity]) -> bool:
        try:
            ask()
        except Refusal:
            return False
        return True


async def viewer_of(request: Request) -> Viewer:
    """Return who sent ``request``. Raises Refusal for what pretends and is not right."""
    service = Service.of(request)
    reading = await sender(request, reading=True)
    writing = reading
    if not service.settings.authentication:
        # Everybody on the machine may read; only the user who started the service may change something.
        try:
            writing = await sender(request)
        except Refusal:
            writing = None
    return Viewer(reading, writing, service.policy)
