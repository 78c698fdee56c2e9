"""Package sets -> the packages that apt chooses for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from osbuild_core.resolve.apt import Package, native_architecture, open_apt
from osbuild_core.resolve.entries import read_entries, select
from osbuild_core.resolve.packageset import PackageSet, in_order
from osbuild_core.resolve.settings import ResolveSettings

Locked = dict[PackageSet, tuple[Package, ...]]
"""The packages of each set, in the order of installation."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    packages: tuple[Package, ...]
    status: str


def lock(sets: Sequence[PackageSet], settings: ResolveSettings) -> Locked:
    """Return the packages of each set in the order of installation.

    Each list of entries is refreshed once. Raises ResolveError; see :mod:`osbuild_core.resolve.apt` for codes.
    """
    if not sets:
        return {}
    machine = read_entries(settings.apt_sources)
    native: str | None = None
    below = {each.installed for each in sets}
    named: dict[str, _Chosen] = {}
    result: Locked = {}
    refreshed: set[Path] = set()
    for each in in_order(list(sets)):
        architecture = each.architecture or (native := native or native_architecture())
        entries = select(machine, each, architecture, settings.snapshot)
        status = named[each.installed].status if each.installed else ""
        with open_apt(entries, architecture, each.suite, settings) as apt:
            apt.place = each.path
            if apt.directory not in refreshed:
                apt.refresh()
                refreshed.add(apt.directory)
            packages = tuple(apt.choose(each, status))
            if each.name and each.name in below:
                status = merged_status(status, apt.status_of(packages))
                named[each.name] = _Chosen(packages, status)
        result[each] = packages
    return result


def merged_status(below: str, above: str) -> str:
    """Return a dpkg status with both; a package in both is as in ``above``."""
    stanzas = {
        stanza.partition("\n")[0]: stanza
        for text in (below, above)
        for stanza in text.split("\n\n")
        if stanza.strip()
    }
    return "".join(f"{stanza.strip()}\n\n" for stanza in stanzas.values())
