"""What apt says when it fails, as errors of ours: one line, what to do, no credentials."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from osbuild_core.model.errors import Path, ResolveError
from osbuild_core.resolve.packageset import PackageSet

_NO_RELEASE = re.compile(r"The repository '(\S+) (\S+) (?:In)?Release' does not have a Release file")
# What apt trusts without a signature may have no Release file; then the index itself is missed.
_NO_INDEX = re.compile(r"Failed to fetch (\S+)/dists/(\S+?)/[^/\s]+/binary-\S+\s+(?:404|File not found)")
_UNKNOWN = re.compile(r"^E: Unable to locate package (\S+)", re.MULTILINE)
_SIGNATURE = re.compile(
    r"NO_PUBKEY|EXPKEYSIG|REVKEYSIG|BADSIG|is not signed|no longer signed|couldn't be verified"
)
_UNAUTHORIZED = re.compile(r"\b40[137]\b")
_TRANSIENT = re.compile(
    r"Could not (?:resolve|connect|handshake)|Temporary failure|[Cc]onnection (?:failed|timed out|refused|reset)"
    r"|Unable to connect|Network is unreachable|No route to host|timed out|Error reading from server"
    r"|Hash Sum mismatch|File has unexpected size|\b5\d\d\s+\S|\b429\b"
)


def scrub(text: str) -> str:
    """Return ``text`` without the credentials in its addresses."""
    return re.sub(r"//[^/\s'\"]*@", "//", text)


def _line(text: str) -> str:
    return " ".join(scrub(text).split())


def in_one_line(text: str, kinds: tuple[str, ...] = ("E:", "W:")) -> str:
    """Return apt's errors and warnings, once each, in one line."""
    lines = [line for line in text.splitlines() if line.startswith(kinds)]
    return _line("; ".join(dict.fromkeys(line[2:].strip() for line in lines)))


def missing_suites(stderr: str) -> list[tuple[str, str]]:
    """Return (address, suite) of the repositories that an update did not find."""
    text = scrub(stderr)
    return [(match[1], match[2]) for form in (_NO_RELEASE, _NO_INDEX) for match in form.finditer(text)]


def of_update(stderr: str, place: Path) -> ResolveError:
    """Return the error for a failed refresh of the indexes."""
    said = in_one_line(stderr, ("E:",)) or in_one_line(stderr) or _line(stderr)
    everything = in_one_line(stderr) or said
    if _TRANSIENT.search(everything):
        reason = next((part for part in everything.split("; ") if _TRANSIENT.search(part)), said)
        return ResolveError(
            f"the package index could not be fetched: {reason}",
            code="resolve.network",
            hint="try again, or use the index of the last run with --offline",
            place=place,
            retryable=True,
        )
    if _SIGNATURE.search(everything):
        reason = next((part for part in everything.split("; ") if _SIGNATURE.search(part)), said)
        return ResolveError(
            f"the package index is not signed by a key that is trusted: {reason}",
            code="resolve.signature",
            hint="give the repository's key (key: FILE), or accept it unsigned (trusted: true)",
            place=place,
        )
    hint = "check that the address and the suite exist"
    if _UNAUTHORIZED.search(everything):
        hint = "check the credentials that apt has for it (auth.conf), and the proxy"
    return ResolveError(
        f"the package index could not be fetched: {said}", code="resolve.index", hint=hint, place=place
    )


def unknown_packages(output: str) -> list[str]:
    """Return the names that apt found in no index."""
    return list(dict.fromkeys(_UNKNOWN.findall(output)))


def of_unknown(names: Sequence[str], known: Iterable[str], wanted: PackageSet) -> ResolveError:
    """Return the error for names that no index has, with the nearest that there are."""
    name = names[0]
    # Comparing with all of some 60,000 names would take seconds.
    near = [other for other in sorted(known) if other[:2] == name[:2] and abs(len(other) - len(name)) <= 3]
    best = difflib.get_close_matches(name, near, n=1, cutoff=0.7)
    components = " ".join(wanted.components)
    plural = f"no packages {', '.join(names)}" if len(names) > 1 else f"no package {name!r}"
    return ResolveError(
        f"{wanted.title}: {wanted.suite} ({components}) has {plural}",
        code="resolve.package",
        hint=f"did you mean {best[0]!r}?" if best else "is it in another component or repository?",
        place=wanted.path,
    )


def of_solver(stdout: str, stderr: str, wanted: PackageSet) -> ResolveError:
    """Return the error for a set that cannot be installed, with apt's explanation."""
    _, mark, rest = stdout.partition("unmet dependencies:\n")
    explanation: list[str] = []
    for line in rest.splitlines() if mark else []:
        if not line.startswith(" "):
            break
        text = " ".join(line.split())
        # A line of alternatives goes on where the one before ended.
        if explanation and explanation[-1].endswith(" or"):
            explanation[-1] += " " + text
        else:
            explanation.append(text)
    virtual = re.findall(r"^Package \S+ is a virtual package provided by:\n(?:  .*\n)+", stdout, re.MULTILINE)
    explanation += [_line(text) for text in virtual]
    removed = re.search(r"packages will be REMOVED:\n((?: .*\n)+)", stdout)
    if removed:
        explanation.append("it would remove " + " ".join(removed[1].split()))
    why = _line("; ".join(explanation)) or in_one_line(stderr) or _line(stderr)
    return ResolveError(
        f"{wanted.title} cannot be installed: {why}",
        code="resolve.unsolvable",
        hint="change include or exclude, or add the suite or repository that has what is missing",
        place=wanted.path,
    )
