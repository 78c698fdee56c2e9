"""Refuses at the door what requests may not lead a worker to: files, and addresses that are not public.

What a name resolves to is checked by the worker, when it connects; a name that is public now may not be then.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote, urlsplit

from osbuild_core.exports.compose.addresses import is_public
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType
from osbuild_core.server.listen import is_loopback
from osbuild_core.server.refusal import Refusal
from osbuild_core.server.settings import ServerSettings

_SUITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~/-]*|\./")
_COMMIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]*")


def check_addresses(asked: ComposeRequest, settings: ServerSettings) -> None:
    """Raise Refusal (400) for an address that no worker may go to."""
    allowed = settings.allowed_sources
    if asked.source_type is SourceType.raw_config:
        commit = asked.source.partition("#")[2]
        if not _COMMIT.fullmatch(commit) or ".." in commit:
            raise Refusal(400, f"source: {commit[:100]!r} is no name of a commit")
    for name, address in _addresses(asked):
        reason = refused(address, allowed)
        if reason is not None:
            raise Refusal(400, f"{name}: {address[:100]!r} {reason}")


def _addresses(asked: ComposeRequest) -> Iterator[tuple[str, str]]:
    if asked.source_type in (SourceType.repo, SourceType.pungi_compose):
        for word in _words(asked.sources()):
            yield "source", word
    for item in asked.lookaside_repos:
        for word in _words(item.split()):
            yield "lookaside_repos", word
    if asked.module_defaults_url:
        yield "module_defaults_url", asked.module_defaults_url


def _words(words: Sequence[str]) -> Iterator[str]:
    """Yield the addresses among ``words``; an archive of Debian is "deb URL suite component…"."""
    debian = bool(words) and words[0] == "deb"
    for word in words[1:] if debian else words:
        # What is left is a suite, such as bookworm/updates, or a component.
        if not debian or not _SUITE.fullmatch(word) or ".." in word.split("/"):
            yield word


def refused(address: str, allowed: Sequence[str] | None) -> str | None:
    """Return why a worker may not go to ``address``, None where it may."""
    path = address.startswith("/")
    if not path:
        try:
            parts = urlsplit(address)
            host = parts.hostname or ""
            parts.port  # noqa: B018 - raises for what is none
        except ValueError:
            return "is no address"
        if parts.scheme not in ("http", "https", "file"):
            return "is no address: http, https or file"
        if parts.username is not None or parts.password is not None:
            return "has a user name in it"
        if parts.scheme == "file":
            path, address = True, parts.path
            if host:
                return "is no file of this machine"
        elif not host:
            return "has no host"
    if ".." in unquote(urlsplit(address).path).split("/"):
        return "has .. in its path"
    if allowed is not None:
        return (
            None if any(_below(address, prefix) for prefix in allowed) else "is not among the allowed sources"
        )
    if path:
        return "is a path, and paths are not among the allowed sources"
    return "is not public" if _is_private(host) else None


def _below(address: str, prefix: str) -> bool:
    """Tell whether ``address`` is ``prefix`` or below it; a name that only begins alike is another place."""
    prefix = prefix.removeprefix("file://")
    return address == prefix or address.startswith(prefix if prefix.endswith("/") else prefix + "/")


def _is_private(host: str) -> bool:
    host = host.rstrip(".").lower()
    if is_loopback(host) or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # Numbers in other spellings, which the C library takes for addresses: 127.1, 0x7f000001, 2130706433.
        last = host.rsplit(".", 1)[-1]
        return last.isdigit() or last.startswith("0x")
    return not is_public(address)
