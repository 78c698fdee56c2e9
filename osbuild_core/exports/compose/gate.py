"""The way out for programs that fetch for somebody else: a proxy on loopback, to where a request may lead.

An address is checked before anything is fetched from it. But curl, apt and libraries resolve its name again, and
follow where servers send them. Here a name is resolved once, and what was looked at is connected to.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from osbuild_core.exports.compose import debian, tags
from osbuild_core.exports.compose.addresses import GATE, is_unlimited
from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.debarchives import read_archives
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.proxies import PROXY, environment, of_machine
from osbuild_core.exports.compose.relay import Host, Relay, Way
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType

_PORTS = {"http": 80, "https": 443}
_MIRRORS = "OSBUILD_SOURCES_CURL_MIRRORS"
_OWN = ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY", PROXY)
_MACHINE = Path("/etc/apt")


@contextlib.contextmanager
def gate(request: ComposeRequest, settings: ComposeSettings) -> Iterator[Mapping[str, str]]:
    """Yield the environment for programs that fetch for ``request``; the gate is open as long.

    Empty where no gate is needed: every address is allowed, only the configuration says where to go, there is one
    already, or a proxy of the machine is between us and the network, which then has to know.
    """
    if not _is_needed(request, settings) or any(os.environ.get(name) for name in _OWN):
        yield {}
        return
    with _running(Way(_hosts(settings.allowed_sources))) as port:
        yield environment(port)


def way(request: ComposeRequest, settings: ComposeSettings) -> Way:
    """Return where a process that has no network but the gate may go for ``request``.

    That is where a request may lead, and what the configuration or the machine names for one like it. Raises
    ComposeError for a proxy that the gate cannot use.
    """
    proxies = of_machine(os.environ)
    direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if is_unlimited(settings.allowed_sources):
        return Way(everywhere=True, proxies=proxies, direct=direct)
    addresses = list(settings.allowed_sources or ())
    if request.source_type is SourceType.pulp:
        addresses += [one.url for one in settings.content_sets.values()]
    if _names_machine(request, settings):
        addresses += _of_machine()
    return Way(_hosts(tuple(addresses)), proxies=proxies, direct=direct)


def _names_machine(request: ComposeRequest, settings: ComposeSettings) -> bool:
    """Tell whether archives of the machine (``deb SUITE``) are among what a request names."""
    with contextlib.suppress(ComposeError):
        archives = request if debian.is_debian(request) else None
        if request.source_type is SourceType.tag:
            archives = tags.debian_request(request, settings)
        if archives is not None:
            return any(archive.url is None for archive in read_archives(archives.source, settings))
    return False


def archives_here(request: ComposeRequest, settings: ComposeSettings) -> list[str]:
    """Return the paths of archives of the machine that are on it, where a request names archives of the machine."""
    if not _names_machine(request, settings):
        return []
    parts = [urlsplit(url) for url in _of_machine()]
    return [unquote(part.path) for part in parts if part.scheme in ("file", "copy")]


def _of_machine() -> list[str]:
    from osbuild_core.resolve.entries import read_entries

    return [entry.url for entry in read_entries(_MACHINE).entries]


def _is_needed(request: ComposeRequest, settings: ComposeSettings) -> bool:
    if is_unlimited(settings.allowed_sources) or GATE in (settings.allowed_sources or ()):
        return False
    if request.source_type in (SourceType.raw_config, SourceType.pulp):
        return False
    try:
        archives = request if debian.is_debian(request) else None
        if request.source_type is SourceType.tag:
            archives = tags.debian_request(request, settings)
        if archives is None or request.lookaside_repos:
            return True
        return any(archive.url is not None for archive in read_archives(archives.source, settings))
    except ComposeError:
        # What is wrong with it is told by who makes it.
        return True


def _hosts(allowed: tuple[str, ...] | None) -> frozenset[Host]:
    """Return the hosts that are allowed by name, whatever their addresses; mirrors of the machine are among them."""
    addresses = list(allowed or ())
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        mirrors = json.loads(os.environ.get(_MIRRORS) or "{}")
        addresses += [url for urls in mirrors.values() for url in urls]
    found = set()
    for address in addresses:
        with contextlib.suppress(ValueError):
            parts = urlsplit(address)
            if parts.scheme in _PORTS and parts.hostname:
                found.add((parts.hostname, parts.port or _PORTS[parts.scheme]))
    return frozenset(found)


@contextlib.contextmanager
def _running(way: Way) -> Iterator[int]:
    """Run the proxy in a thread; yield its port."""
    loop = asyncio.new_event_loop()
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        serving = loop.create_task(Relay(way).serve(listener))
        thread = threading.Thread(target=loop.run_forever, name="compose-gate", daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.run_until_complete(_end([serving]))
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
