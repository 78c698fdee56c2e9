"""manifests/debian-repository.yaml: a real package with all that it needs, from the machine's mirror, for apt."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from osbuild_core.exports.compose.addresses import EVERYTHING
from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.generate import Place, generate, resolve
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType
from tests.integration.compose.test_debian_composes import machine
from tests.modules.stages import debs
from tests.packages import archives

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


@pytest.mark.soak
def test_its_source_package_goes_along(folder: Path) -> None:
    settings = ComposeSettings(store=folder / "store", state_dir=folder / "state")
    request = ComposeRequest(
        SourceType.repo,
        "deb bookworm main",
        packages=("less",),
        arches=(debs.NATIVE, "source"),
        flags=frozenset({"no_deps"}),
    )
    result = generate(resolve(request, settings), Place(folder / "composes", 4), settings)
    suite = result.directory / TREE
    names = {path.name.partition("_")[0] for path in suite.glob("pool/main/l/less/*")}
    assert names == {"less"}
    state = folder / "apt-source"
    options = machine(state, (suite / "odcs-4.sources").read_text())
    for command in (["update"], ["source", "--download-only", "less"]):
        subprocess.run(["apt-get", "-q", *options, *command], cwd=state, check=True, capture_output=True)
    taken = sorted(path.name for path in state.glob("less_*"))
    assert any(name.endswith(".dsc") for name in taken) and len(taken) >= 3
    for name in taken:
        assert (state / name).read_bytes() == (suite / "pool/main/l/less" / name).read_bytes()


@pytest.mark.soak
def test_packages_of_ones_own_on_top_of_the_distribution(folder: Path) -> None:
    """Only one's own are in the compose; that they can be installed with those of the mirror is checked."""
    root = folder / "own"
    archives.add(root, "reader", {"Depends": "less (>= 500)"})
    archives.add(root, "writer", {"Depends": "less (>= 9999)"})
    archives.write(root)
    settings = ComposeSettings(
        store=folder / "store",
        state_dir=folder / "state",
        allowed_sources=EVERYTHING,
        apt_keyrings={f"file://{root}": None},
    )
    request = ComposeRequest(
        SourceType.repo,
        f"deb file://{root} stable main",
        packages=("reader",),
        arches=(debs.NATIVE,),
        lookaside_repos=("deb bookworm main",),
        flags=frozenset({"check_deps"}),
    )
    result = generate(resolve(request, settings), Place(folder / "composes", 5), settings)
    assert [path.name for path in (result.directory / TREE).glob("pool/**/*.deb")] == [
        f"reader_1.0_{debs.NATIVE}.deb"
    ]
    broken = replace(request, packages=("writer",))
    with pytest.raises(ComposeError, match=r"writer : Depends: less \(>= 9999\) but it is not going"):
        generate(resolve(broken, settings), Place(folder / "composes", 6), settings)
