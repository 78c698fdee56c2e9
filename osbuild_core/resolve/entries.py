"""The machine's apt entries: read, and narrowed to those that serve a package set."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from osbuild_core.model.errors import ResolveError
from osbuild_core.resolve.packageset import PackageSet, Repository, is_archive_url
from osbuild_core.resolve.yamlfile import suggestion

# Options of one-line entries under the names that they have in the other format. What is left out narrows
# or widens what an entry serves (arch, lang, target), which the package set decides.
_OPTIONS = {
    "signed-by": "Signed-By",
    "trusted": "Trusted",
    "allow-insecure": "Allow-Insecure",
    "allow-weak": "Allow-Weak",
    "by-hash": "By-Hash",
    "check-valid-until": "Check-Valid-Until",
    "check-date": "Check-Date",
    "inrelease-path": "InRelease-Path",
}
_ONE_LINE = re.compile(r"deb\s+(?:\[([^\]]*)\]\s*)?(\S+)\s+(\S+)((?:\s+\S+)*)\s*")


@dataclass(frozen=True, slots=True)
class Entry:
    """One archive, one suite. ``options`` are fields of apt's deb822 format; ``optional`` may be missing;
    ``sources`` has its source packages and no others."""

    url: str
    suite: str
    components: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()
    architectures: tuple[str, ...] = ()
    optional: bool = False
    sources: bool = False

    def render(self) -> str:
        """Return the entry as apt reads it; it may hold credentials."""
        lines = [
            "Types: deb-src" if self.sources else "Types: deb",
            f"URIs: {self.url}",
            f"Suites: {self.suite}",
        ]
        if self.components:
            lines.append("Components: " + " ".join(self.components))
        lines += [f"{name}: {value}" for name, value in self.options]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class MachineEntries:
    """The entries of a machine and the files that they were read from."""

    entries: tuple[Entry, ...]
    files: tuple[Path, ...]


def read_entries(directory: Path) -> MachineEntries:
    """Read the enabled binary entries below ``directory`` (``/etc/apt``) in the order in which apt does."""
    parts = directory / "sources.list.d"
    files = [directory / "sources.list"]
    if parts.is_dir():
        # apt passes over names with other characters or another ending.
        usable = re.compile(r"[A-Za-z0-9_.-]+\.(?:list|sources)")
        files += sorted(file for file in parts.iterdir() if usable.fullmatch(file.name))
    found: list[Entry] = []
    seen: list[Path] = []
    for file in files:
        try:
            text = file.read_text(errors="replace")
        except OSError:
            continue
        seen.append(file)
        found.extend(_deb822(text) if file.suffix == ".sources" else _one_line(text))
    entries = (dataclasses.replace(e, url=url) for e in found for url in _addresses(e.url))
    usable_entries = [entry for entry in entries if is_archive_url(entry.url)]
    return MachineEntries(tuple(dict.fromkeys(usable_entries)), tuple(seen))


def _one_line(text: str) -> Iterator[Entry]:
    for line in text.splitlines():
        match = _ONE_LINE.fullmatch(line.partition("#")[0].strip())
        if not match:
            continue
        options, url, suite, components = match.groups()
        words = (word.partition("=") for word in (options or "").split())
        fields = {key.lower().rstrip("+-"): value for key, _, value in words}
        yield Entry(
            url,
            suite,
            tuple(components.split()),
            tuple((_OPTIONS[key], value) for key, value in fields.items() if key in _OPTIONS),
            tuple(fields.get("arch", "").replace(",", " ").split()),
        )


def _deb822(text: str) -> Iterator[Entry]:
    from debian.deb822 import Deb822

    for fields in Deb822.iter_paragraphs(text, use_apt_pkg=False):
        if "deb" not in fields.get("Types", "").split():
            continue
        if fields.get("Enabled", "yes").strip().lower() in ("no", "false", "without", "off", "disable", "0"):
            continue
        options = tuple((name, fields[name]) for name in _OPTIONS.values() if name in fields)
        for url in fields.get("URIs", "").split():
            for suite in fields.get("Suites", "").split():
                yield Entry(
                    url,
                    suite,
                    tuple(fields.get("Components", "").split()),
                    options,
                    tuple(fields.get("Architectures", "").split()),
                )


def _addresses(url: str) -> list[str]:
    """Return the address to use for the one in an entry: cloud images list their mirrors in a file."""
    kind, _, rest = url.partition(":")
    if kind == "mirror+file":
        try:
            listed = Path(unquote("/" + rest.lstrip("/"))).read_text(errors="replace")
        except OSError:
            return []
        return [line.split()[0] for line in listed.splitlines() if line.split() and line[0] != "#"][:1]
    if kind in ("file", "copy"):
        return ["file:///" + rest.lstrip("/")]
    return [url]


def select(
    machine: MachineEntries, wanted: PackageSet, architecture: str, snapshot: str | None
) -> list[Entry]:
    """Return the entries that serve ``wanted``: the machine's, then the template's own repositories.

    Raises ResolveError ``resolve.no-entry`` where nothing serves the suite, ``resolve.component`` where
    nothing serves one of its components.
    """
    own = [_from_repository(repository) for repository in wanted.repositories]
    suites = [wanted.suite]
    if wanted.updates:
        suites += [f"{wanted.suite}{tail}" for tail in ("-updates", "-security", "/updates")]
    chosen: list[Entry] = []
    for entry in machine.entries:
        if entry.suite not in suites:
            continue
        if entry.architectures and architecture not in entry.architectures:
            continue
        components = tuple(c for c in entry.components if c in wanted.components)
        if components or not entry.components:
            chosen.append(dataclasses.replace(entry, components=components))
    if snapshot is not None:
        chosen = list(_on_snapshot(chosen, machine, wanted, snapshot))
    serving = [entry for entry in chosen + own if entry.suite == wanted.suite]
    if not serving:
        raise _no_entry(machine, wanted)
    for component in wanted.components:
        if not any(component in entry.components or not entry.components for entry in serving):
            known = {c for e in machine.entries if e.suite == wanted.suite for c in e.components}
            raise ResolveError(
                f"no apt entry for {wanted.suite} has the component {component!r}",
                code="resolve.component",
                hint=suggestion(component, known, "there are"),
                place=wanted.path,
            )
    return list(dict.fromkeys(chosen + own))


def _on_snapshot(
    chosen: list[Entry], machine: MachineEntries, wanted: PackageSet, snapshot: str
) -> Iterator[Entry]:
    """Yield the entries with the snapshot's address; one for the suite itself where the machine has none."""
    main = next((entry for entry in chosen if entry.suite == wanted.suite), None)
    if main is None:
        # Whose key signs the machine's own archive is the best guess at whose key signs this one.
        options = next((e.options for e in machine.entries if dict(e.options).get("Signed-By")), ())
        main = Entry(snapshot, wanted.suite, wanted.components, options)
    archive = _last_part(main.url)
    for entry in [main, *(e for e in chosen if e.suite != wanted.suite)]:
        url = snapshot
        if entry is not main and (part := _last_part(entry.url)) != archive:
            derived = re.sub(rf"/{re.escape(archive)}(?=/|$)", f"/{part}", snapshot, count=1)
            if not archive or derived == snapshot:
                continue
            url = derived
        # A snapshot is older than its own index allows, by its nature.
        options = (*(o for o in entry.options if o[0] != "Check-Valid-Until"), ("Check-Valid-Until", "no"))
        yield dataclasses.replace(entry, url=url, options=options, optional=entry is not main)


def _last_part(url: str) -> str:
    return urlsplit(url).path.rstrip("/").rpartition("/")[2]


def _from_repository(repository: Repository) -> Entry:
    options: list[tuple[str, str]] = []
    if repository.key is not None:
        options.append(("Signed-By", _field_value(repository.key)))
    if repository.trusted:
        options.append(("Trusted", "yes"))
    return Entry(repository.url, repository.suite, repository.components, tuple(options))


def _field_value(text: str) -> str:
    """Return a text as the value of a deb822 field; an armored key goes on the lines below the name."""
    lines = text.strip().splitlines()
    if len(lines) == 1:
        return lines[0]
    return "".join("\n " + (line.strip() or ".") for line in lines)


def _no_entry(machine: MachineEntries, wanted: PackageSet) -> ResolveError:
    files = ", ".join(str(file) for file in machine.files) or "no file"
    suites = ", ".join(sorted({entry.suite for entry in machine.entries})) or "none"
    url = next((without_credentials(e.url) for e in machine.entries if not e.suite.endswith("/")), "URL")
    line = f"deb {url} {wanted.suite} {' '.join(wanted.components)}"
    return ResolveError(
        f"no apt entry serves the suite {wanted.suite!r} (read: {files}; suites there: {suites})",
        code="resolve.no-entry",
        hint=f"add '{line}' to the machine's entries, a repository to the template, or give --snapshot URL",
        place=wanted.path,
    )


def without_credentials(url: str) -> str:
    """Return ``url`` without user name and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def without_suites(entries: Iterable[Entry], missing: Iterable[tuple[str, str]]) -> list[Entry]:
    """Return the entries but the optional ones among ``missing``, pairs of address and suite."""
    gone = {(_plain(url), suite) for url, suite in missing}
    return [
        entry
        for entry in entries
        if not (entry.optional and (_plain(without_credentials(entry.url)), entry.suite) in gone)
    ]


def _plain(url: str) -> str:
    """Return an address as apt writes it in messages: ``file:/`` without host, no slash at the end."""
    return re.sub("^file:/+", "file:/", url).rstrip("/")
