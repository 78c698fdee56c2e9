"""How a session runs its commands as its user: as they are, by becoming that user, or through sudo."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from osbuild_core.exports.jobs.command import Command
from osbuild_core.exports.jobs.users import Identity, PosixSessionUser, SessionUser, identity
from osbuild_core.model.errors import UsageError


class Switch:
    """Commands run as who we are. ``environment`` is what they begin with."""

    owner: Identity | None = None
    group: int | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        return os.environ

    def command(self, command: Command) -> Command:
        """Return what to start for ``command``."""
        return command

    def empty(self, directory: Path) -> None:
        """Remove what the user has made in ``directory`` and we could not remove."""


class Become(Switch):
    """We are root, and become the user: no sudo, and nothing of our own environment."""

    def __init__(self, user: PosixSessionUser) -> None:
        self.owner = identity(user)

    @property
    def environment(self) -> Mapping[str, str]:
        assert self.owner is not None
        return dict(self.owner.environment)

    def command(self, command: Command) -> Command:
        assert self.owner is not None
        return command._replace(user=(self.owner.uid, self.owner.gid, self.owner.groups))


def switch_to(user: SessionUser | None) -> Switch:
    """Return how to run commands as ``user``. Raises UsageError where that cannot be."""
    if user is None or user.is_process_user():
        return Switch()
    if not isinstance(user, PosixSessionUser):
        raise UsageError(f"{type(user).__name__} is not a user of this system", code="job.user")
    if os.geteuid() == 0:
        return Become(user)
    from osbuild_core.exports.jobs.sudo import Sudo

    return Sudo(user)
