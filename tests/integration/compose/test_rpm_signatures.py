"""Signed RPM packages: which copy of a package a compose gets."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.generate import Place, generate
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.signatures import key_of
from osbuild_core.exports.compose.vocabulary import SourceType
from tests.packages import keys
from tests.packages.keys import Key
from tests.packages.rpms import Rpm, build, index

pytestmark = pytest.mark.root
PACKAGES = [Rpm("ed"), Rpm("vi", arch="noarch")]


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Key]]:
    base = tmp_path_factory.mktemp("signers")
    made = {
        "rsa": keys.make(base / "rsa", "rsa@example.org", "rsa2048"),
        "eddsa": keys.make(base / "eddsa", "eddsa@example.org", "ed25519"),
    }
    yield made
    for key in made.values():
        keys.end(key)


@pytest.fixture(scope="module")
def repos(tmp_path_factory: pytest.TempPathFactory, signers: dict[str, Key]) -> dict[str, Path]:
    """The same packages, unsigned and signed with each key."""
    base = tmp_path_factory.mktemp("signed")
    repos = {"plain": build(base / "plain", PACKAGES)}
    for name, key in signers.items():
        repos[name] = base / name
        repos[name].mkdir()
        for package in repos["plain"].glob("*.rpm"):
            shutil.copy(package, repos[name])
        command = ["rpmsign", "--addsign"]
        for setting, value in {"_gpg_name": key.user, "_gpg_path": key.home, "__gpg": "/usr/bin/gpg"}.items():
            command += ["--define", f"{setting} {value}"]
        packages = [str(path) for path in repos[name].glob("*.rpm")]
        subprocess.run([*command, *packages], check=True, capture_output=True)
    for repo in repos.values():
        index(repo)
    return repos


def signed_with(
    repos: dict[str, Path], settings: ComposeSettings, target: Path, names: str, sigkeys: tuple[str, ...]
) -> set[str | None]:
    source = " ".join(str(repos[name]) for name in names.split())
    request = ComposeRequest(SourceType.repo, source, packages=("ed", "vi"), sigkeys=sigkeys)
    result = generate(request, Place(target, 1), settings)
    packages = list((result.directory / "compose/Temporary/x86_64/os/Packages").rglob("*.rpm"))
    assert len(packages) == 2
    rpms = json.loads((result.directory / "compose/metadata/rpms.json").read_text())
    payload = rpms["payload"]["rpms"]["Temporary"]["x86_64"]
    written = {entry["sigkey"] for group in payload.values() for entry in group.values()}
    assert written == ({key or None for key in sigkeys} & written or {None})
    return {key_of(path.read_bytes()[: 64 << 10]) for path in packages}


def test_the_key_in_a_package_is_found(repos: dict[str, Path], signers: dict[str, Key]) -> None:
    for name, repo in repos.items():
        expected = signers[name].fingerprint[-16:].lower() if name in signers else None
        for path in repo.glob("*.rpm"):
            assert key_of(path.read_bytes()) == expected
    with pytest.raises(ValueError, match="no RPM package"):
        key_of(b"something else")


def test_the_preferred_key_counts(
    repos: dict[str, Path], signers: dict[str, Key], settings: ComposeSettings, tmp_path: Path
) -> None:
    rsa, eddsa = signers["rsa"], signers["eddsa"]
    everything = "plain rsa eddsa"
    for sigkeys, expected in (
        ((rsa.id, eddsa.id), rsa.fingerprint[-16:].lower()),
        ((eddsa.id, rsa.id), eddsa.fingerprint[-16:].lower()),
        ((eddsa.id.upper(), ""), eddsa.fingerprint[-16:].lower()),
        (("", rsa.id), None),
    ):
        lowered = tuple(key.lower() for key in sigkeys)
        assert signed_with(repos, settings, tmp_path / "target", everything, lowered) == {expected}
    assert signed_with(repos, settings, tmp_path / "target", "plain", (rsa.id, "")) == {None}


def test_packages_without_one_of_the_keys_are_refused(
    repos: dict[str, Path], signers: dict[str, Key], settings: ComposeSettings, tmp_path: Path
) -> None:
    with pytest.raises(ComposeError) as caught:
        signed_with(repos, settings, tmp_path / "target", "plain rsa", (signers["eddsa"].id,))
    assert caught.value.code == "compose.unsigned"
    assert "ed-0:1.0-1.x86_64" in caught.value.detail


def test_without_keys_signatures_do_not_matter(
    repos: dict[str, Path], settings: ComposeSettings, tmp_path: Path
) -> None:
    request = ComposeRequest(SourceType.repo, str(repos["rsa"]), sigkeys=("",))
    for number, one in enumerate((request, replace(request, sigkeys=())), start=1):
        assert generate(one, Place(tmp_path / "target", number), settings).packages == 2
