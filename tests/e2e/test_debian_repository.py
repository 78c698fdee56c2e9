"""manifests/debian-repository.yaml: a real package with all that it needs, from the machine's mirror, for apt."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.generate import Place, generate, resolve
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType

from . import debian

pytestmark = [pytest.mark.root, pytest.mark.slow]
TREE = "compose/Temporary"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("debian-repository")


@pytest.fixture(scope="module")
def output(folder: Path) -> Path:
    manifest = debian.resolve(folder, "debian-repository", packages='["less"]', name="pager")
    return debian.build(folder, manifest, folder / "store", "compose") / "compose"


def simulated(folder: Path, sources: Path, package: str) -> list[str]:
    """Return the packages that apt would install, from ``sources`` only."""
    state = folder / f"apt-{sources.parent.parent.parent.name}"
    for name in ("lists/partial", "cache/archives/partial", "sources"):
        (state / name).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    (state / "sources" / "compose.sources").write_text(sources.read_text())
    options = {
        "Dir::State": state,
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": state / "sources",
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",
        "Debug::NoLocking": "true",
    }
    apt = ["apt-get", "-q", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    subprocess.run([*apt, "update"], check=True, capture_output=True)
    done = subprocess.run(
        [*apt, "--no-install-recommends", "--simulate", "install", package],
        check=True,
        capture_output=True,
        text=True,
    )
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("Inst ")]


def test_apt_can_install_the_package_from_it_alone(folder: Path, output: Path) -> None:
    sources = output / "odcs-1" / TREE / "odcs-1.sources"
    installed = simulated(folder, sources, "less")
    assert {"less", "libc6", "libtinfo6"} <= set(installed)
    reply = json.loads((output / "export.json").read_text())
    assert reply["packages"] == len(installed)
    assert reply["compose_id"].startswith("pager-1-1-")


def test_a_request_gives_the_same_packages(folder: Path, output: Path) -> None:
    settings = ComposeSettings(store=folder / "store", state_dir=folder / "state")
    request = ComposeRequest(SourceType.repo, "deb bookworm main", packages=("less",))
    result = generate(resolve(request, settings), Place(folder / "composes", 2), settings)
    suite, exported = result.directory / TREE, output / "odcs-1" / TREE
    assert sorted(path.name for path in suite.glob("pool/**/*.deb")) == sorted(
        path.name for path in exported.glob("pool/**/*.deb")
    )
    assert simulated(folder, suite / "odcs-2.sources", "less")
    again = generate(
        replace(request, source="deb gone main"),
        Place(folder / "composes", 3),
        settings,
        locked=result.locked,
    )
    assert again.packages == result.packages
