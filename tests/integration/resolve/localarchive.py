"""A small Debian archive in a directory, and a machine whose apt entries point to it."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from osbuild_core.resolve import ResolveSettings, resolve


@dataclass
class Archive:
    """Suites of packages below ``root``; unsigned until :meth:`sign` is called."""

    root: Path
    packages: dict[str, list[str]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"file://{self.root}"

    def add(self, name: str, version: str = "1.0", *, suite: str = "test", **fields: str) -> str:
        """Add a package and return its checksum. Fields are written with _ for -."""
        data = f"{name} {version}".encode()
        file = Path("pool") / f"{name}_{version.partition(':')[2] or version}_all.deb"
        (self.root / file).parent.mkdir(parents=True, exist_ok=True)
        (self.root / file).write_bytes(data)
        checksum = hashlib.sha256(data).hexdigest()
        stanza = {
            "Package": name,
            "Version": version,
            "Architecture": "all",
            "Maintainer": "Nobody <nobody@example.org>",
            "Description": f"test package {name}",
            "Filename": str(file),
            "Size": str(len(data)),
            "SHA256": checksum,
            **{key.replace("_", "-"): value for key, value in fields.items()},
        }
        self.packages.setdefault(suite, []).append("".join(f"{k}: {v}\n" for k, v in stanza.items()))
        return f"sha256:{checksum}"

    def write(self, component: str = "main") -> None:
        """Write the indexes of all suites."""
        for suite, stanzas in self.packages.items():
            base = self.root / "dists" / suite
            index = base / component / "binary-amd64" / "Packages"
            index.parent.mkdir(parents=True, exist_ok=True)
            text = "\n".join(stanzas).encode()
            # apt wants the checksum of the plain index even where only the packed one is there.
            sums = [_sum_line(text, index.relative_to(base))]
            packed = gzip.compress(text, mtime=0)
            index.with_suffix(".gz").write_bytes(packed)
            sums.append(_sum_line(packed, index.with_suffix(".gz").relative_to(base)))
            (base / "Release").write_text(
                f"Origin: Test\nSuite: {suite}\nCodename: {suite}\nArchitectures: amd64 all\n"
                f"Components: {component}\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n{''.join(sums)}"
            )

    def sign(self, home: Path) -> str:
        """Sign all suites with a new key in ``home`` and return the armored public key."""
        home.mkdir(mode=0o700)
        gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback"]
        who = "archive@example.org"
        subprocess.run(
            [*gpg, "--passphrase", "", "--quick-generate-key", who, "ed25519"],
            check=True,
            capture_output=True,
        )
        for suite in self.packages:
            release = self.root / "dists" / suite / "Release"
            argv = [*gpg, "--clearsign", "-o", str(release.with_name("InRelease")), str(release)]
            subprocess.run(argv, check=True, capture_output=True)
        key = subprocess.run([*gpg, "--armor", "--export", who], check=True, capture_output=True, text=True)
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True, capture_output=True)
        return key.stdout


def _sum_line(data: bytes, name: Path) -> str:
    return f" {hashlib.sha256(data).hexdigest()} {len(data)} {name}\n"


@dataclass
class Machine:
    """A directory in the place of ``/etc/apt``, and what a resolve on that machine gives."""

    etc: Path
    state: Path

    def entry(self, text: str, name: str = "sources.list") -> None:
        """Set the text of a file with entries."""
        file = self.etc / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def resolve(self, packages: str, **settings: Any) -> dict[str, Any]:
        """Resolve a template with one ``$packages``, given as flow YAML."""
        template = self.etc.parent / "template.yaml"
        template.write_text(
            "variables: {token: {default: '', secret: true}, size: 1}\n"
            f"pipelines: [{{name: os, stages: [{{refs: {{$packages: {packages}}}}}]}}]\n"
        )
        return self.resolve_file(template, **settings)

    def resolve_file(self, template: Path, **settings: Any) -> dict[str, Any]:
        variables = settings.pop("variables", {})
        fixed = ResolveSettings(state_dir=self.state, apt_sources=self.etc, **settings)
        return resolve(template, variables=variables, settings=fixed)

    def names(self, packages: str, **settings: Any) -> list[str]:
        """Return the names of the packages of a set, in their order."""
        return names_of(self.resolve(packages, **settings))


def names_of(manifest: dict[str, Any], pipeline: int = 0) -> list[str]:
    items = manifest["sources"].get("org.osbuild.curl", {}).get("items", {})
    refs = manifest["pipelines"][pipeline]["stages"][0]["refs"]
    return [unquote(items[ref]["url"]).rpartition("/")[2].partition("_")[0] for ref in refs]


class Handler(http.server.SimpleHTTPRequestHandler):
    authorization: str | None = None

    def do_GET(self) -> None:
        if self.authorization and self.headers.get("Authorization") != self.authorization:
            self.send_error(401)
            return
        if self.path.startswith("http://"):
            # A proxy is asked for whole addresses.
            self.path = urlsplit(self.path).path
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test output quiet."""
