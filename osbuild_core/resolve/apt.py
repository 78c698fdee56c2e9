"""apt on a directory of its own: it refreshes indexes and chooses packages, and touches nothing else.

The machine's package database, preferences and entries are out of its sight. What counts are the entries
that it is given and the machine's network settings, keys and credentials for apt.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

from osbuild_core.model.errors import ResolveError
from osbuild_core.resolve import complaints
from osbuild_core.resolve.aptstate import drop_unused, locked
from osbuild_core.resolve.entries import Entry, without_credentials, without_suites
from osbuild_core.resolve.packageset import PackageSet
from osbuild_core.resolve.settings import ResolveSettings

URI_LINE = re.compile(r"'([^']*)' (\S+) (\d+) ?(\S*)")
SHA256 = re.compile(r"SHA256:([0-9a-f]{64})")
# Settings of the machine that would change what is fetched, not how.
_NOT_NETWORK = ("Acquire::IndexTargets", "Acquire::Languages", "Acquire::GzipIndexes", "Acquire::Changelogs")
_OF_PROXY = re.compile(r"Acquire::(?:[a-z+]+::)?Proxy", re.IGNORECASE)
_UNUSED_SECONDS = 30 * 86400
_TEMPORARY = "tmp"


@dataclass(frozen=True, slots=True)
class Package:
    """A package that apt chose: where it is and what it has to be. ``size`` is in bytes."""

    name: str
    version: str
    url: str
    checksum: str
    size: int


@dataclass
class Apt:
    """apt for one list of entries and one architecture, in ``directory``. Use :func:`open_apt`."""

    directory: Path
    architecture: str
    settings: ResolveSettings
    entries: list[Entry]
    place: tuple[str | int, ...] = ()

    def refresh(self) -> None:
        """Fetch the indexes; offline, only check that there are some.

        Raises ResolveError ``resolve.network`` (retryable), ``resolve.signature``, ``resolve.index`` or,
        offline, ``resolve.offline``.
        """
        if self.settings.offline:
            if not self._complete.exists():
                raise ResolveError(
                    "there is no package index of an earlier run",
                    code="resolve.offline",
                    hint="resolve once without --offline",
                    place=self.place,
                )
            return
        done = self._update()
        missing = complaints.missing_suites(done.stderr)
        kept = without_suites(self.entries, missing)
        if done.returncode and len(kept) < len(self.entries):
            self.entries = kept
            done = self._update()
        if done.returncode:
            raise complaints.of_update(done.stderr, self.place)
        self._complete.touch()

    def choose(self, wanted: PackageSet, status: str) -> list[Package]:
        """Return the packages of ``wanted`` in the order of installation, on top of a dpkg ``status``.

        Raises ResolveError ``resolve.package`` for a name that no index has, ``resolve.unsolvable``.
        """
        file = self.directory / "status"
        if file.read_text() != status:
            # Written only where it differs, for apt builds its cache anew when the file is newer.
            file.write_text(status)
        self._exclude(wanted.exclude)
        names = [*self._base(wanted), *wanted.include]
        if not names:
            return []
        self._check_names(wanted)
        options = ["--install-recommends" if wanted.recommends else "--no-install-recommends"]
        done = self.call("apt-get", "-q", "-y", "--no-remove", "--print-uris", *options, "install", *names)
        unknown = complaints.unknown_packages(done.stderr)
        if unknown:
            raise complaints.of_unknown(unknown, self._names(), wanted)
        if done.returncode:
            raise complaints.of_solver(done.stdout, done.stderr, wanted)
        lines = (URI_LINE.fullmatch(line) for line in done.stdout.splitlines())
        return [self._package(match, wanted) for match in lines if match]

    def download(self, wanted: PackageSet) -> list[Package]:
        """Return the packages that ``wanted`` includes, without those that they need.

        Raises ResolveError ``resolve.package`` for a name that no index has.
        """
        if not wanted.include:
            return []
        self._exclude(())
        done = self.call("apt-get", "-q", "--print-uris", "download", *wanted.include)
        unknown = complaints.unknown_packages(done.stderr)
        if unknown:
            raise complaints.of_unknown(unknown, self._names(), wanted)
        if done.returncode:
            raise complaints.of_solver(done.stdout, done.stderr, wanted)
        lines = (URI_LINE.fullmatch(line) for line in done.stdout.splitlines())
        return [self._package(match, wanted) for match in lines if match]

    def candidates(self) -> dict[str, str]:
        """Return the version that apt would take of each package that the indexes have."""
        shown = self.call("apt-cache", "dumpavail").stdout
        return dict(_names_and_versions(shown))

    def available(self) -> list[str]:
        """Return the names of the packages that the indexes have, in order."""
        return sorted(self.candidates())

    def versions(self, entries: Iterable[Entry]) -> set[tuple[str, str]]:
        """Return name and version of all packages that ``entries``, some of ours, have."""
        form = "$(RELEASE) $(REPO_URI) $(FILENAME)"
        shown = self.call("apt-get", "indextargets", "--format", form, "Created-By: Packages").stdout
        wanted = {(entry.suite, plain_url(entry.url).rstrip("/")) for entry in entries}
        found: set[tuple[str, str]] = set()
        for line in shown.splitlines():
            suite, url, file = line.split(" ", 2)
            if (suite, plain_url(url).rstrip("/")) not in wanted:
                continue
            text = self.call("/usr/lib/apt/apt-helper", "cat-file", file).stdout
            found.update(_names_and_versions(text))
        return found

    def date(self) -> int:
        """Return when the newest of the indexes was made (seconds since 1970), 0 where none says so."""
        return max(self.dates().values(), default=0)

    def dates(self) -> dict[str, int]:
        """Return when the indexes of each suite were made (seconds since 1970), without those that do not say so."""
        found: dict[str, int] = {}
        for file in (self.directory / "lists").glob("*Release"):
            match = re.search(r"^Date: (.+)$", file.read_text(errors="replace"), re.MULTILINE)
            with contextlib.suppress(ValueError, TypeError, AttributeError):
                suite = re.sub("_(?:In)?Release$", "", file.name)
                found[suite] = int(parsedate_to_datetime(match[1]).timestamp())  # type: ignore[index]
        return found

    def stanzas(self, packages: Sequence[Package]) -> dict[tuple[str, str], str]:
        """Return the paragraphs of the index for ``packages``, by name and version."""
        wanted = [f"{package.name}={package.version}" for package in packages]
        if not wanted:
            return {}
        shown = self.call("apt-cache", "show", "--no-all-versions", *wanted).stdout
        found: dict[tuple[str, str], str] = {}
        for stanza in shown.split("\n\n"):
            for name_and_version in _names_and_versions(stanza):
                found.setdefault(name_and_version, stanza.strip("\n"))
        return found

    def status_of(self, packages: Sequence[Package]) -> str:
        """Return a dpkg status file in which ``packages`` are installed."""
        texts: dict[str, str] = {}
        for (name, _), stanza in self.stanzas(packages).items():
            texts.setdefault(name, stanza.replace("\n", "\nStatus: install ok installed\n", 1))
        return "".join(text + "\n\n" for text in texts.values())

    def _base(self, wanted: PackageSet) -> list[str]:
        if wanted.base == "none":
            return []
        pattern = "?essential"
        if wanted.base == "minbase":
            # As mmdebstrap has it. apt counts where its priority is another one, too.
            pattern = "?or(?essential,?priority(required),?exact-name(apt))"
        shown = self.call("apt-cache", "show", "--no-all-versions", pattern).stdout
        if "\nEssential: yes\n" not in shown:
            raise ResolveError(
                f"the index of {wanted.suite} for {self.architecture} has no essential packages",
                code="resolve.index",
                hint="say 'base: none' where the suite is not a whole distribution",
                place=wanted.path,
            )
        # One that is asked for by version must not be asked for without one, too.
        named = {re.split("[=/]", word)[0] for word in wanted.include} | set(wanted.exclude)
        found = re.findall(r"^Package: (\S+)$", shown, re.MULTILINE)
        return [name for name in dict.fromkeys(found) if name not in named]

    def _check_names(self, wanted: PackageSet) -> None:
        """Refuse unknown names that apt would take for a regular expression, or for a name and a sign."""
        asked = [re.split("[=/]", word)[0] for word in wanted.include]
        suspect = [name for name in asked if "." in name or "+" in name]
        if suspect:
            known = self._names()
            unknown = [name for name in suspect if name not in known]
            if unknown:
                raise complaints.of_unknown(unknown, known, wanted)

    def _names(self) -> set[str]:
        """Return the names of all packages, virtual ones too."""
        return set(self.call("apt-cache", "-o", "APT::Cache::AllNames=true", "pkgnames").stdout.split())

    def _package(self, match: re.Match[str], wanted: PackageSet) -> Package:
        url, file, size, hashes = match.groups()
        name, version, _ = file.split("_")
        checksum = SHA256.fullmatch(hashes)
        if checksum is None:
            raise ResolveError(
                f"{wanted.title}: the index gives no sha256 for {name}",
                code="resolve.index",
                place=wanted.path,
            )
        return Package(
            name=name,
            version=re.sub("%([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), version),
            url=plain_url(url),
            checksum="sha256:" + checksum[1],
            size=int(size),
        )

    @property
    def _complete(self) -> Path:
        """There once all indexes have been fetched."""
        return self.directory / "complete"

    def _update(self) -> subprocess.CompletedProcess[str]:
        file = self.directory / "etc" / "sources.list.d" / "template.sources"
        _write_private(file, "\n".join(entry.render() for entry in self.entries))
        return self.call("apt-get", "-q", "update")

    def _exclude(self, names: Sequence[str]) -> None:
        pins = "".join(f"Package: {name}\nPin: release *\nPin-Priority: -1\n\n" for name in names)
        (self.directory / "etc" / "preferences").write_text(pins)

    def call(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run one of apt's programs on this state."""
        return run(*argv, config=self.directory / "apt.conf")


def plain_url(url: str) -> str:
    """Return an address of apt's as others write it, without credentials."""
    if url.startswith("file:"):
        return "file:///" + url.removeprefix("file:").lstrip("/")
    return without_credentials(url)


def _names_and_versions(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and version of each paragraph of an index that begins with its package's name."""
    for match in re.finditer(r"^Package: (\S+)\n(?:(?!\n|Version:).*\n)*Version: (\S+)$", text, re.MULTILINE):
        yield match[1], match[2]


def run(*argv: str, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run one of apt's programs. Raises ResolveError ``resolve.apt-missing``."""
    environment = dict(os.environ, LC_ALL="C.UTF-8")
    if config is not None:
        environment |= {"APT_CONFIG": str(config), "TMPDIR": str(config.parent / _TEMPORARY)}
    try:
        return subprocess.run(
            argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
        )
    except FileNotFoundError:
        raise ResolveError(
            f"package sets need apt, and there is no program {argv[0]!r}",
            code="resolve.apt-missing",
            hint="resolve on a Debian machine; the manifest can be built anywhere",
        ) from None


def native_architecture() -> str:
    """Return Debian's name of the machine's architecture."""
    return run("dpkg", "--print-architecture").stdout.strip()


@contextlib.contextmanager
def open_apt(entries: list[Entry], architecture: str, suite: str, settings: ResolveSettings) -> Iterator[Apt]:
    """Yield apt for ``entries``, locked against other processes that use the same ones."""
    text = "\n".join([architecture, str(settings.apt_sources), *(entry.render() for entry in entries)])
    label = re.sub(r"[^a-z0-9]+", "-", f"{suite}-{architecture}".lower()).strip("-")
    directory = settings.state_dir / f"{label}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    try:
        with locked(directory), _temporary(directory / _TEMPORARY):
            _write_private(directory / "apt.conf", _configuration(directory, architecture, settings))
            (directory / "status").touch()
            os.utime(directory)
            yield Apt(directory, architecture, settings, entries)
    except OSError as error:
        raise ResolveError(
            f"the state directory {directory} cannot be used: {error.strerror}",
            code="resolve.state",
            hint="set XDG_CACHE_HOME to a directory that can be written",
        ) from error
    drop_unused(settings.state_dir, time.time() - _UNUSED_SECONDS)


@contextlib.contextmanager
def _temporary(directory: Path) -> Iterator[None]:
    """Give apt's programs a directory for their temporary files: when they are killed, they leave them there, and
    there is a copy of apt's settings among them."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)
    try:
        yield
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _write_private(file: Path, text: str) -> None:
    """Write a file that may hold credentials."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)


def _configuration(directory: Path, architecture: str, settings: ResolveSettings) -> str:
    """Return the apt.conf for ``directory``: everything in it, nothing of the machine but its network."""
    machine = settings.apt_sources
    paths = {
        "Dir": f"{directory}/",
        "Dir::Etc": f"{directory}/etc/",
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": "/dev/null",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::Etc::trusted": f"{machine}/trusted.gpg",
        "Dir::Etc::trustedparts": f"{machine}/trusted.gpg.d/",
        "Dir::Etc::netrc": f"{machine}/auth.conf",
        "Dir::Etc::netrcparts": f"{machine}/auth.conf.d/",
        "Dir::State": f"{directory}/",
        "Dir::State::status": f"{directory}/status",
        "Dir::Cache": f"{directory}/cache/",
        "Dir::Cache::pkgcache": "pkgcache.bin",
        "Dir::Cache::srcpkgcache": "srcpkgcache.bin",
        "Dir::Log": f"{directory}/log/",
        "APT::Architecture": architecture,
        "APT::Architectures::": architecture,
        # The directory is private to its user, so that apt's own user could not enter it.
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",
        "Acquire::Languages": "none",
        "Acquire::ForceHash": "SHA256",
        "Debug::NoLocking": "true",
        # apt would count itself as essential.
        "pkgCacheGen::ForceEssential": ",",
    }
    own = "".join(f'{name} "{value}";\n' for name, value in paths.items())
    return _network(directory, machine, proxies=not settings.environment_proxy) + own


def _network(directory: Path, machine: Path, *, proxies: bool) -> str:
    """Return the machine's settings below ``Acquire``, such as proxies and certificates."""
    config = None
    if machine != Path("/etc/apt"):
        config = directory / "machine.conf"
        config.write_text(f'Dir::Etc "{machine}/";\n')
    dump = run("apt-config", "dump", config=config).stdout
    lines = [line for line in dump.splitlines() if line.startswith("Acquire::")]
    return "".join(
        f"{line}\n"
        for line in lines
        if not line.startswith(_NOT_NETWORK) and (proxies or not _OF_PROXY.match(line))
    )
