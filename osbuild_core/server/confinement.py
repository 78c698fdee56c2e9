"""Composes for who is not trusted: the process that makes one is root of a user namespace and nobody on the machine.

What it reads, metadata of repositories and packages, is somebody else's, and parsers have faults. Its root is the
user ``first`` of the machine (user_namespaces(7)), which owns nothing but a store, indexes, and the directories of
the composes that are made so.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType
from osbuild_core.model.errors import OsbuildError
from osbuild_core.server.settings import ServerSettings

IDS = 65536
"""Users and groups that the namespace has: packages may have files of any."""

_NEW = 0x10000000 | 0x08000000 | 0x00020000
"""CLONE_NEWUSER, CLONE_NEWIPC, CLONE_NEWNS (linux/sched.h)."""

_SECRETS = ("OSBUILD_CORE_", "PG")
"""Beginnings of variables that settings come from; a process for one piece of work gets what it needs otherwise."""

_HARMLESS = (
    *("PATH", "LANG", "LC_", "TZ", "TMPDIR", "PYTHON", "OSBUILD_SOURCES_CURL_", "SSL_CERT_"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)
"""Beginnings of what a confined process gets: credentials of clouds, say, are not among them."""


class ConfinementError(OsbuildError):
    """The process cannot be confined here, so that the request is refused."""

    code = "server.confinement"


def environment(*, confined: bool) -> dict[str, str]:
    """Return the environment for a process that does one piece of work."""
    if confined:
        return {name: value for name, value in os.environ.items() if name.startswith(_HARMLESS)}
    return {name: value for name, value in os.environ.items() if not name.startswith(_SECRETS)}


def is_wanted(settings: ServerSettings, request: ComposeRequest, owner: str, *, again: bool) -> bool:
    """Tell whether the compose is for somebody who is not trusted with the rights of the worker.

    Whoever may submit manifests is, by name; groups are known only to who has asked. What is made ``again`` is what
    the process of another one has said, whoever asks for it. What a ``raw_config`` builds is the configuration's. A
    worker that is not root of the machine has no rights to keep from anybody.
    """
    if os.geteuid() != 0 or request.source_type is SourceType.raw_config:
        return False
    if settings.composes.confine is not None:
        return settings.composes.confine
    trusted = {*settings.access.admins.users, *settings.access.builders.users}
    return bool(settings.authentication) and (again or trusted.isdisjoint((owner, "*")))


def prepared(settings: ServerSettings, given: ComposeSettings, directory: Path) -> ComposeSettings:
    """Return ``given`` for a confined process that makes its compose in ``directory``.

    What it has for itself is there then. Keys stay with the worker, which signs. Raises ConfinementError.
    """
    try:
        _make_directories(settings, directory)
    except OSError as error:
        raise ConfinementError(
            f"cannot make the directories of a confined process: {error.strerror}",
            hint=f"whoever runs this looks at {error.filename}",
        ) from None
    own = settings.data / "confined"
    return dataclasses.replace(
        given,
        store=own / "store",
        state_dir=own / "indexes",
        signing_key=None,
        gnupg_home=None,
        # Their addresses may have passwords in them, and they are made by others.
        raw_configs={},
        user_namespace=True,
    )


def _make_directories(settings: ServerSettings, directory: Path) -> None:
    first, own = settings.composes.first_id, settings.data / "confined"
    own.mkdir(parents=True, exist_ok=True)
    # It stays ours, so that none of these can be another one next time.
    for path in (own / "store", own / "indexes", own / "home"):
        path.mkdir(exist_ok=True, mode=0o700)
        os.chown(path, first, first, follow_symlinks=False)
    _reclaim(directory, first)
    directory.mkdir(parents=True, exist_ok=True)
    os.chown(directory, first, first, follow_symlinks=False)


def reclaim(directory: Path) -> None:
    """Remove what a confined process has begun in ``directory`` and one that is not is to make now: it may have left
    links there. Raises OSError."""
    if os.geteuid() == 0:
        _reclaim(directory, 0)


def _reclaim(directory: Path, owner: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        if directory.stat().st_uid != owner:
            shutil.rmtree(directory)


def enter(first: int, home: Path, needed: Mapping[str, Path]) -> None:
    """Become root of a new user namespace, which is ``first`` on the machine. Irrevocable; for one thread only.

    ``needed`` are directories that have to be reached from there, by what they are. Raises ConfinementError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        os.setgroups([])
        _unshare(libc, first)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    except OSError as error:
        raise ConfinementError(
            f"cannot make this in a user namespace: {error.strerror}",
            hint="ask whoever runs this: user.max_user_namespaces, composes.confine",
        ) from None
    # Or /proc/self would belong to root of the machine: who has changed users may have seen secrets (prctl(2)).
    libc.prctl(4, 1, 0, 0, 0)
    os.environ.update(HOME=str(home), XDG_CACHE_HOME=str(home))
    for what, path in needed.items():
        if not os.access(path, os.R_OK | os.X_OK):
            raise ConfinementError(
                f"{what} cannot be reached from a user namespace",
                hint=f"whoever runs this lets others pass: chmod o+x, for all directories of {path}",
            )


def _unshare(libc: ctypes.CDLL, first: int) -> None:
    """Enter the namespaces; a process that stays outside says who is who in there. Raises OSError."""
    here = os.getpid()
    wait, go = os.pipe()
    outside = os.fork()
    if outside == 0:
        status = 1
        try:
            os.close(go)
            if os.read(wait, 1):
                for name in ("uid_map", "gid_map"):
                    Path(f"/proc/{here}/{name}").write_text(f"0 {first} {IDS}\n")
                status = 0
        finally:
            os._exit(status)
    os.close(wait)
    try:
        if libc.unshare(_NEW) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        os.write(go, b"x")
    finally:
        os.close(go)
        _, status = os.waitpid(outside, 0)
    if status != 0:
        raise OSError(1, os.strerror(1))
