"""Who may do what: roles, owners and allow-lists. Pure: identities and settings in, a refusal or nothing out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType
from osbuild_core.server.refusal import Refusal
from osbuild_core.server.settings import ANYTHING, Access, Allowed, Members


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sent a request. ``scopes`` None: the way they said it knows no scopes. ``local``: a user of this machine
    on a service without authentication, who may do everything."""

    user: str
    groups: frozenset[str] = frozenset()
    scopes: frozenset[str] | None = None
    read_only: bool = False
    local: bool = False


LOCAL = Identity("unknown", local=True)
"""Whom ODCS calls so where there is no authentication."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Decides by the settings. Every function raises Refusal (401: say who you are, 403) or returns."""

    access: Access
    challenge: dict[str, str] = field(default_factory=lambda: {"WWW-Authenticate": "Bearer"})

    def reader(self, who: Identity | None) -> None:
        """Let who may read composes pass."""
        if self.access.public_read:
            return
        known = self._known(who)
        if not (known.local or self._reads(known)):
            raise Refusal(403, f"{known.user} is not allowed to read")

    def _reads(self, who: Identity) -> bool:
        mine = self.access
        clients = Members(users=list(mine.clients.users), groups=list(mine.clients.groups))
        return any(_belongs(who, members) for members in (mine.admins, mine.readers, clients, mine.builders))

    def is_admin(self, who: Identity) -> bool:
        return who.local or (not who.read_only and _belongs(who, self.access.admins))

    def client(self, who: Identity | None, action: str) -> Identity:
        """Let who may make, renew or delete composes pass; ``action`` is ``new-compose`` and so on."""
        known = self._writer(who, action)
        if not (self.is_admin(known) or self._lists(known)):
            raise Refusal(403, f"User {known.user} is not in role allowed_clients.")
        return known

    def builder(self, who: Identity | None, action: str) -> Identity:
        """Let who may submit manifests pass: their stages run as root, so being a client is not enough."""
        known = self._writer(who, action)
        if not (self.is_admin(known) or _belongs(known, self.access.builders)):
            raise Refusal(
                403, f"User {known.user} is not in role builders: builds run with the rights of the worker."
            )
        return known

    def _writer(self, who: Identity | None, action: str) -> Identity:
        known = self._known(who)
        if known.read_only:
            raise Refusal(403, "This token is for reading only")
        if known.scopes is not None and action not in known.scopes:
            raise Refusal(403, f"The token lacks the scope {action}")
        return known

    def _known(self, who: Identity | None) -> Identity:
        if who is None:
            raise Refusal(401, "No user has been authenticated: a token is needed", dict(self.challenge))
        return who

    def _lists(self, who: Identity) -> list[Allowed]:
        """Return the allow-lists of a client; what one of them allows is allowed."""
        users, groups = self.access.clients.users, self.access.clients.groups
        found = [users[name] for name in (who.user, "*") if name in users]
        return found + [groups[name] for name in sorted(who.groups) if name in groups]

    def request(self, who: Identity, asked: ComposeRequest) -> None:
        """Let a request pass whose every part is on one allow-list of ``who``."""
        if self.is_admin(who):
            return
        refused = "nothing is allowed"
        for one in self._lists(who):
            reason = self._missing(one, asked)
            if reason is None:
                return
            refused = reason
        raise Refusal(403, f"User {who.user} not allowed to operate with {refused}")

    def _missing(self, one: Allowed, asked: ComposeRequest) -> str | None:
        raw = asked.source_type is SourceType.raw_config
        parts: dict[str, Iterable[str]] = {
            "source_types": [asked.source_type.name],
            "sources": [] if raw else asked.sources(),
            "flags": asked.flags,
            "results": asked.results - {"repository"},
            # Without arches: all that another compose has.
            "arches": [*asked.arches, *asked.multilib_arches] or [ANYTHING],
            "compose_types": [asked.compose_type],
            "raw_config_keys": [asked.source.partition("#")[0]] if raw else [],
            "target_dirs": [] if asked.target_dir == "default" else [asked.target_dir],
        }
        for name, values in parts.items():
            allowed = getattr(one, name)
            if allowed is None:
                allowed = getattr(self.access.allowed, name)
            for value in values:
                if ANYTHING not in (allowed or []) and value not in (allowed or []):
                    return f"{name}: {value}"
        return None


def _belongs(who: Identity, members: Members) -> bool:
    return who.user in members.users or "*" in members.users or not who.groups.isdisjoint(members.groups)
