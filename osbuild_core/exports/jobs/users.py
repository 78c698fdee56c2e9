"""The user that a session's commands run as, where that is not the one who runs the session."""

from __future__ import annotations

import grp
import os
import pwd
from typing import NamedTuple

from osbuild_core.model.errors import UsageError


class SessionUser:
    """A user of the system."""

    user: str

    def is_process_user(self) -> bool:
        """Tell whether this is who runs this process."""
        raise NotImplementedError


class PosixSessionUser(SessionUser):
    """A user by name, and the group that shares the files of the session (None: the user's own).

    As root the session becomes that user by itself; otherwise through ``sudo``, which must not ask for a password
    (``password`` is taken, since the page of openjd-sessions passes one, and is not used). Raises UsageError for a
    user or group that does not exist.
    """

    __slots__ = ("group", "user")

    def __init__(self, user: str, group: str | None = None, *, password: str | None = None) -> None:
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            raise UsageError(f"there is no user {user!r}", code="job.user") from None
        try:
            self.group = group if group is not None else grp.getgrgid(entry.pw_gid).gr_name
            grp.getgrnam(self.group)
        except KeyError:
            raise UsageError(f"there is no group {group or entry.pw_gid!r}", code="job.user") from None
        self.user = user

    def is_process_user(self) -> bool:
        return pwd.getpwnam(self.user).pw_uid == os.geteuid()


class Identity(NamedTuple):
    """Numbers of a user, and what its programs find in their environment."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    environment: tuple[tuple[str, str], ...]


def identity(user: PosixSessionUser) -> Identity:
    """Return what becoming ``user`` takes."""
    entry = pwd.getpwnam(user.user)
    gid = grp.getgrnam(user.group).gr_gid
    environment = (
        ("HOME", entry.pw_dir),
        ("LOGNAME", entry.pw_name),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("SHELL", entry.pw_shell or "/bin/sh"),
        ("USER", entry.pw_name),
    )
    groups = {gid, *os.getgrouplist(entry.pw_name, entry.pw_gid)}
    return Identity(entry.pw_uid, gid, tuple(sorted(groups)), environment)
