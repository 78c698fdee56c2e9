"""org.osbuild.createrepo, with packages that rpmbuild made, read back by createrepo_c's own library."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.packages.rpms import BUILT, Rpm, build

from .raw import run_raw

EPOCH = 1_700_000_000
PACKAGES = [
    Rpm("ed", files={"/usr/bin/ed": "ed"}, provides=("editor",)),
    Rpm("vi", arch="noarch", requires=("libc",), recommends=("ed",)),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("rpms"), PACKAGES)


@pytest.fixture
def files(built: Path, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """The packages as the files input shows them, and their places."""
    folder = tmp_path / "input"
    folder.mkdir()
    places = {}
    for path in sorted(built.glob("*.rpm")):
        name = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        shutil.copy(path, folder / name)
        places[name] = f"Packages/{path.name[0]}/{path.name}"
    return folder, places


def run(tree: Path, folder: Path, options: dict[str, Any], **more: Any) -> str:
    ended = run_raw("createrepo", tree, options, files={"packages": folder, **more}, epoch=EPOCH)
    assert ended.status == 0, ended.log
    return ended.log


def snapshot(tree: Path) -> dict[str, bytes]:
    return {str(p.relative_to(tree)): p.read_bytes() for p in sorted(tree.rglob("*")) if p.is_file()}


def read(tree: Path) -> dict[str, Any]:
    import createrepo_c

    found = {}
    for package in createrepo_c.RepositoryReader.from_path(str(tree)).iter_packages():
        found[package.name] = package
    return found


def test_the_metadata_say_what_is_in_the_packages(tree: Path, files: tuple[Path, dict[str, str]]) -> None:
    folder, places = files
    run(tree, folder, {"packages": places})
    found = read(tree)
    assert set(found) == {"ed", "vi"}
    ed = found["ed"]
    assert ed.location_href == "Packages/e/ed-1.0-1.x86_64.rpm"
    assert places[f"sha256:{ed.pkgId}"] == ed.location_href
    assert (ed.time_file, ed.time_build) == (EPOCH, BUILT)
    assert "editor" in [one[0] for one in ed.provides]
    assert [one[0] for one in found["vi"].requires] == ["libc"]
    assert [name for _, _, name, *_ in ed.files] == ["ed"]
    assert not list(tree.rglob("*.rpm"))


def test_the_same_packages_give_the_same_bytes(tmp_path: Path, files: tuple[Path, dict[str, str]]) -> None:
    folder, places = files
    shots = []
    for number in range(2):
        tree = tmp_path / f"tree{number}"
        tree.mkdir()
        # What was downloaded at another time, in another order.
        for time, path in enumerate(sorted(folder.iterdir(), reverse=bool(number))):
            os.utime(path, (time + number * 1000, time + number * 1000))
        run(tree, folder, {"packages": places, "revision": 42})
        shots.append(snapshot(tree))
    assert shots[0] == shots[1]
    assert "<revision>42</revision>" in shots[0]["repodata/repomd.xml"].decode()


def test_checksums_and_names_of_files(tree: Path, files: tuple[Path, dict[str, str]]) -> None:
    import createrepo_c

    folder, places = files
    run(tree, folder, {"packages": places, "path": "/os"})
    repomd = createrepo_c.Repomd(str(tree / "os/repodata/repomd.xml"))
    assert sorted(record.type for record in repomd.records) == ["filelists", "other", "primary"]
    for record in repomd.records:
        data = (tree / "os" / record.location_href).read_bytes()
        assert record.checksum == hashlib.sha256(data).hexdigest()
        assert record.checksum_open == hashlib.sha256(gzip.decompress(data)).hexdigest()
        assert (record.size, record.size_open) == (len(data), len(gzip.decompress(data)))
        assert record.checksum in record.location_href
        assert record.timestamp == EPOCH


def test_packages_can_be_copied(tree: Path, files: tuple[Path, dict[str, str]]) -> None:
    folder, places = files
    run(tree, folder, {"packages": places, "copy_packages": True})
    for name, place in places.items():
        assert (tree / place).read_bytes() == (folder / name).read_bytes()
        assert not (tree / place).is_symlink()


def test_further_metadata(tree: Path, files: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    import createrepo_c

    folder, places = files
    more = tmp_path / "more"
    more.mkdir()
    (more / "a").write_text("document: modulemd\n")
    run(tree, folder, {"packages": places, "metadata": {"a": "modules"}}, metadata=more)
    repomd = createrepo_c.Repomd(str(tree / "repodata/repomd.xml"))
    (record,) = [record for record in repomd.records if record.type == "modules"]
    assert gzip.decompress((tree / record.location_href).read_bytes()) == b"document: modulemd\n"


def test_a_repository_of_nothing(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "none"
    folder.mkdir()
    run(tree, folder, {})
    assert read(tree) == {}


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        (lambda names: {names[0]: "a.rpm"}, "no place"),
        (lambda names: dict.fromkeys(names, "a.rpm"), "a.rpm is the place of two packages"),
    ],
)
def test_places_that_cannot_be(
    tree: Path, files: tuple[Path, dict[str, str]], places: Any, reason: str
) -> None:
    folder, known = files
    ended = run_raw("createrepo", tree, {"packages": places(sorted(known))}, files={"packages": folder})
    assert ended.status == 1
    assert reason in ended.log


def test_a_file_that_is_no_package(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "x").write_text("no package")
    ended = run_raw("createrepo", tree, {"packages": {"x": "x.rpm"}}, files={"packages": folder})
    assert ended.status == 1
    assert "createrepo_c failed" in ended.log
