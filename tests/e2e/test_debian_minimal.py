"""manifests/debian-minimal.yaml: a tree and an archive, the same each time."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .debian import build, command, resolve

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("debian-minimal")


@pytest.fixture(scope="module")
def manifest(folder: Path) -> Path:
    variables = {"hostname": "minimal", "packages": '["less"]', "mirror": "https://mirror.example.org/debian"}
    return resolve(folder, "debian-minimal", **variables)


@pytest.fixture(scope="module")
def output(folder: Path, manifest: Path) -> Path:
    return build(folder, manifest, folder / "store", "tree", "archive")


def in_tree(tree: Path, *argv: str) -> str:
    """Run a program of the tree and return what it prints."""
    done = subprocess.run(["chroot", str(tree), *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_tree_is_a_working_debian(output: Path) -> None:
    tree = output / "tree"
    assert (tree / "etc/debian_version").read_text().startswith("12")
    assert (tree / "etc/hostname").read_text() == "minimal\n"
    states = set(in_tree(tree, "dpkg-query", "-W", "-f", "${db:Status-Abbrev}\n").split())
    assert states == {"ii"}
    assert in_tree(tree, "dpkg", "--audit") == ""
    assert in_tree(tree, "dpkg", "--verify") == ""
    assert in_tree(tree, "getent", "passwd", "root").startswith("root:")
    assert in_tree(tree, "apt-cache", "policy", "apt").startswith("apt:")


def test_variables_of_the_template(output: Path) -> None:
    tree = output / "tree"
    assert in_tree(tree, "less", "--version").startswith("less")
    sources = tree / "etc/apt/sources.list.d/debian.sources"
    assert "URIs: https://mirror.example.org/debian\n" in sources.read_text()
    assert sources.stat().st_mode & 0o777 == 0o644


def test_nothing_of_the_build_is_left(output: Path) -> None:
    tree = output / "tree"
    for path in ("var/log/dpkg.log", "var/cache/ldconfig/aux-cache", "etc/passwd-", "usr/sbin/policy-rc.d"):
        assert not (tree / path).exists()
    assert not list((tree / "tmp").iterdir())
    assert [path.name for path in (tree / "run").iterdir()] == ["lock"]


def test_the_archive_has_the_tree(output: Path) -> None:
    archive = output / "archive/debian-minimal.tar.zst"
    listing = subprocess.run(["tar", "-tf", str(archive)], capture_output=True, text=True, check=True).stdout
    assert {"./etc/hostname", "./usr/bin/dpkg"} <= set(listing.splitlines())


def test_a_second_build_runs_no_stage(folder: Path, manifest: Path, output: Path) -> None:
    done = command(folder, "build", manifest, "--store", folder / "store")
    assert done.returncode == 0, done.stderr
    assert "0 stages run" in done.stderr


def test_another_store_gives_the_same_archive(folder: Path, manifest: Path, output: Path) -> None:
    other = folder / "other"
    (other / "sources").mkdir(parents=True)
    subprocess.run(
        ["cp", "-a", "--link", str(folder / "store/sources/."), str(other / "sources")], check=True
    )
    again = build(folder, manifest, other, "archive")
    name = "archive/debian-minimal.tar.zst"
    assert (again / name).read_bytes() == (output / name).read_bytes()
