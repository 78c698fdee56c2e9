"""Composes for who is not trusted: the process that makes one is root of a user namespace and nobody on the machine.

What it reads, metadata of repositories and packages, is somebody else's, and parsers have faults. Its root is the
user ``first`` of the machine (user_namespaces(7)), which owns nothing but a store, indexes, and the directories of
the composes that are made so. Here is who is confined, and what for; guard.py does it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import sys
import time
from pathlib import Path

from osbuild_core.exports.compose.addresses import gated
from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.gate import archives_here, way
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType
from osbuild_core.model.errors import OsbuildError
from osbuild_core.server.guard import Plan
from osbuild_core.server.settings import ServerSettings

_SECRETS = ("OSBUILD_CORE_", "PG")
"""Beginnings of variables that settings come from; a process for one piece of work gets what it needs otherwise."""

_HARMLESS = ("PATH", "LANG", "LC_", "TZ", "TMPDIR", "PYTHON", "OSBUILD_SOURCES_CURL_", "SSL_CERT_")
"""Beginnings of what a confined process gets: credentials of clouds, say, are not among them. Of proxies, which have
passwords, its guard hears otherwise."""


_DAY = 24 * 3600

_CLOSED = ("store", "builds", "indexes")
"""Directories in ``data`` that are none of its business."""

_DATABASES = ("/var/lib/dpkg", "/var/lib/rpm", "/var/lib/pacman")
"""What is installed here: keys of the store have it."""


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


def home_of(settings: ServerSettings, id: int) -> Path:
    """Return the directory for what the process that makes a compose needs only while it does."""
    return settings.data / "confined" / f"home-{id}"


def prepared(
    settings: ServerSettings, given: ComposeSettings, directory: Path, home: Path
) -> ComposeSettings:
    """Return ``given`` for a confined process that makes its compose in ``directory``, and has ``home``.

    What it has for itself is there then. Keys stay with the worker, which signs. Raises ConfinementError.
    """
    try:
        _make_directories(settings, directory, home)
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
        allowed_sources=gated(given.allowed_sources),
        user_namespace=True,
    )


def plan(settings: ServerSettings, request: ComposeRequest, given: ComposeSettings, home: Path) -> Plan:
    """Return what the guard is to do in ``home``, where ``given`` are the settings that the compose has without it.

    Raises ConfinementError.
    """
    mine, own = settings.composes, settings.data / "confined"
    needed = {
        "the program": Path(__file__).parent,
        "Python": Path(sys.prefix),
        "the directory of composes": target_path(settings, request),
        "the store": own / "store",
        "the directory of indexes": own / "indexes",
    }
    if settings.library is not None:
        needed["the library"] = settings.library
    try:
        leads = way(request, given)
    except ComposeError as error:
        raise ConfinementError(error.detail, hint=error.hint) from None
    return Plan(
        first=mine.first_id,
        home=str(home.absolute()),
        needed={what: str(path.absolute()) for what, path in needed.items()},
        # All of it, as there are no links from one mount to another.
        shown=[str(settings.data.absolute()), *_shown(given), *archives_here(request, given)],
        empty=[str(settings.data.absolute() / name) for name in _CLOSED],
        memory=mine.bounds.memory,
        processes=mine.bounds.processes,
        file=mine.bounds.file,
        free=mine.bounds.free,
        seconds=mine.bounds.seconds,
        hosts=sorted(leads.hosts),
        everywhere=leads.everywhere,
        proxies=dict(leads.proxies),
        direct=leads.direct,
    )


def _shown(given: ComposeSettings) -> list[str]:
    """Return what is needed of the machine beside directories of the system."""
    allowed = [path.removeprefix("file://") for path in given.allowed_sources or ()]
    named = [
        value for name, value in os.environ.items() if name.startswith(("SSL_CERT_", "OSBUILD_SOURCES_CURL_"))
    ]
    return [
        *(path for path in (sys.base_prefix, *sys.path, *_DATABASES, *named) if os.path.isabs(path)),
        str(Path(__file__).absolute().parents[2]),
        *(path for path in allowed if path.startswith("/")),
        *(str(path.absolute()) for path in given.apt_keyrings.values() if path is not None),
    ]


def target_path(settings: ServerSettings, request: ComposeRequest) -> Path:
    """Return the directory in which the directory of a compose is."""
    known = settings.target_dirs.get(request.target_dir)
    return known.path if known else settings.directory


def _make_directories(settings: ServerSettings, directory: Path, home: Path) -> None:
    first, own = settings.composes.first_id, settings.data / "confined"
    own.mkdir(parents=True, exist_ok=True)
    for name in _CLOSED:
        # So that there is something to be hidden; who needs it may come later.
        (settings.data / name).mkdir(exist_ok=True)
    # It stays ours, so that none of these can be another one next time.
    for left in own.glob("home-*"):
        # Of this one's last attempt, or of a worker that was killed.
        if left == home or left.stat().st_mtime < time.time() - settings.composes.bounds.seconds - _DAY:
            shutil.rmtree(left, ignore_errors=True)
    for path in (own / "store", own / "indexes", home):
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
