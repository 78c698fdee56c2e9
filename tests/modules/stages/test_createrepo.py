"""org.osbuild.createrepo, with packages that rpmbuild made, read back by createrepo_c's own library."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.packages.rpms import BUILT, Rpm, build, index, repack

from .raw import run_raw

EPOCH = 1_700_000_000
PACKAGES = [
    Rpm("ed", files={"/usr/bin/ed": "ed", "/usr/share/<ed>&co": "x"}, provides=("editor",), changes=12),
    # Its head is not read at once.
    Rpm(
        "vi",
        arch="noarch",
        requires=("libc",),
        recommends=("ed",),
        provides=tuple(f"command-{number:04}" for number in range(1000)),
    ),
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
    assert sorted(name for _, _, name, *_ in ed.files) == ["<ed>&co", "ed"]
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


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda _: b"no package, but long enough to be one", "it does not begin as an RPM package does"),
        (lambda data: data[:2000], "it ends in the middle of its head"),
        (lambda data: data[:96] + bytes(100) + data[196:], "it has something else where a header should be"),
        (lambda data: data[:104] + b"\xff" * 8 + data[112:], "it has a header that is too large"),
    ],
)
def test_a_file_that_is_no_package(
    tree: Path, files: tuple[Path, dict[str, str]], spoil: Callable[[bytes], bytes], reason: str
) -> None:
    folder, places = files
    name = min(places)
    (folder / name).write_bytes(spoil((folder / name).read_bytes()))
    ended = run_raw("createrepo", tree, {"packages": places}, files={"packages": folder})
    assert ended.status == 1
    assert f"{places[name]} is no RPM package: {reason}" in ended.log


def test_a_file_that_is_not_called_by_its_sha256_is_hashed(
    tree: Path, files: tuple[Path, dict[str, str]], made: dict[str, bytes]
) -> None:
    folder, places = files
    renamed = {}
    for number, (name, place) in enumerate(places.items()):
        (folder / name).rename(folder / f"sha512:{number}")
        renamed[f"sha512:{number}"] = place
    run(tree, folder, {"packages": renamed})
    assert documents(tree) == made


def test_many_packages(tree: Path, files: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    """They are read by several processes, and are in the order of their places all the same."""
    folder, places = files
    many = tmp_path / "many"
    many.mkdir()
    copies = {}
    for number in range(120):
        source = sorted(places)[number % 2]
        os.link(folder / source, many / f"{number}")
        copies[f"{number}"] = f"Packages/{997 * number % 120:03}/{places[source].rpartition('/')[2]}"
    run(tree, many, {"packages": copies})
    primary = documents(tree)["primary.xml.gz"].decode()
    assert re.findall('<location href="([^"]*)"', primary) == sorted(copies.values())
    for name, text in documents(tree).items():
        found = re.findall(b'(?:pkgid="|YES">)([0-9a-f]{64})', text)
        assert found == [
            hashlib.sha256((many / copy).read_bytes()).hexdigest().encode()
            for copy in sorted(copies, key=lambda copy: copies[copy])
        ], name


# Metadata that are carried over


@pytest.fixture(scope="module")
def indexed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of the packages."""
    folder = tmp_path_factory.mktemp("indexed") / "repository"
    shutil.copytree(built, folder)
    index(folder)
    return folder


class Upstream:
    """Metadata of a repository as the files input shows them, to be changed before they are used."""

    def __init__(self, repository: Path, folder: Path, kind: str = "gz") -> None:
        self.files = folder / "carried"
        copy = folder / "upstream"
        shutil.copytree(repository, copy)
        repack(copy, kind)
        self.files.mkdir()
        for path in (copy / "repodata").iterdir():
            if path.name != "repomd.xml":
                shutil.copy(path, self.files / path.name.partition("-")[2].partition(".")[0])
        self.options = {"carried": [{name: name for name in ("primary", "filelists", "other")}]}

    def change(self, kind: str, old: str, new: str) -> None:
        path = self.files / kind
        text = gzip.decompress(path.read_bytes()).decode()
        assert old in text
        path.write_bytes(gzip.compress(text.replace(old, new).encode()))

    def run(self, tree: Path, folder: Path, places: dict[str, str], **more: Any) -> str:
        return run(tree, folder, {"packages": places, **self.options, **more}, carried=self.files)


def documents(tree: Path) -> dict[str, bytes]:
    """Return what the metadata of packages say."""
    found = {}
    for path in (tree / "repodata").glob("*.gz"):
        found[path.name.partition("-")[2]] = gzip.decompress(path.read_bytes())
    return found


def blank(folder: Path) -> None:
    """Have nothing in the packages but their sizes."""
    for path in folder.iterdir():
        path.write_bytes(bytes(path.stat().st_size))


@pytest.fixture
def made(tmp_path: Path, files: tuple[Path, dict[str, str]]) -> dict[str, bytes]:
    """What the metadata say that are made from the packages."""
    folder, places = files
    (tmp_path / "made").mkdir()
    run(tmp_path / "made", folder, {"packages": places})
    return documents(tmp_path / "made")


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2", "zst", ""])
def test_what_is_carried_over_is_what_would_be_made(
    tree: Path,
    files: tuple[Path, dict[str, str]],
    indexed: Path,
    tmp_path: Path,
    made: dict[str, bytes],
    kind: str,
) -> None:
    folder, places = files
    blank(folder)
    Upstream(indexed, tmp_path, kind).run(tree, folder, places)
    assert documents(tree) == made
    assert set(read(tree)) == {"ed", "vi"}


def test_one_package_is_carried_over_and_one_is_read(
    tree: Path, files: tuple[Path, dict[str, str]], indexed: Path, tmp_path: Path, made: dict[str, bytes]
) -> None:
    folder, places = files
    upstream = Upstream(indexed, tmp_path)
    (vi,) = (name for name, place in places.items() if "/v/" in place)
    for kind in ("primary", "filelists", "other"):
        upstream.change(kind, vi.partition(":")[2], "0" * 64)
    (ed,) = (name for name in places if name != vi)
    (folder / ed).write_bytes(bytes((folder / ed).stat().st_size))
    upstream.run(tree, folder, places)
    assert documents(tree) == made


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("primary", "<size package=", '<size installed="1" package='),
        ("primary", '<size package="', '<size package="1'),
        ("primary", "</summary>", "</summery>"),
        ("primary", "</summary>", "</summary><!-- -->"),
        ("primary", "<location ", '<location href="/etc/passwd"/><location '),
        ("primary", "<format>", "<format><package/>"),
        ("primary", "<time file=", '<time xml:lang="x" file='),
        ("primary", "<rpm:license>", "<suse:license/><rpm:license>"),
        ("primary", ' xmlns:rpm="', ' xmlns:rpn="'),
        ("primary", "<metadata ", "<!DOCTYPE x><metadata "),
        ("primary", "</metadata>", ""),
        ("filelists", "<file>/", "<file>&nothing;/"),
        ("filelists", "<file>", "<file"),
        ("other", "<package pkgid", "<paket pkgid"),
    ],
)
def test_what_is_said_strangely_is_read_from_the_packages(
    tree: Path,
    files: tuple[Path, dict[str, str]],
    indexed: Path,
    tmp_path: Path,
    made: dict[str, bytes],
    kind: str,
    old: str,
    new: str,
) -> None:
    folder, places = files
    upstream = Upstream(indexed, tmp_path)
    upstream.change(kind, old, new)
    upstream.run(tree, folder, places)
    assert documents(tree) == made


def test_broken_files_are_not_carried_over(
    tree: Path, files: tuple[Path, dict[str, str]], indexed: Path, tmp_path: Path, made: dict[str, bytes]
) -> None:
    folder, places = files
    for number, kind in enumerate(("gz", "xz", "bz2", "zst")):
        upstream = Upstream(indexed, tmp_path / kind, kind)
        path = upstream.files / "filelists"
        path.write_bytes(path.read_bytes()[:-20])
        (tree / str(number)).mkdir()
        log = upstream.run(tree, folder, places, path=f"/{number}")
        assert "primary is of no use: it cannot be unpacked" in log
        assert documents(tree / str(number)) == made


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_changes_that_are_kept(
    tree: Path, files: tuple[Path, dict[str, str]], indexed: Path, tmp_path: Path, limit: int
) -> None:
    folder, places = files
    Upstream(indexed, tmp_path).run(tree, folder, places, changelog_limit=limit, path="/carried")
    run(tree, folder, {"packages": places, "changelog_limit": limit, "path": "/made"})
    assert documents(tree / "carried") == documents(tree / "made")
    assert documents(tree / "carried")["other.xml.gz"].count(b"<changelog ") == limit


def test_further_metadata_may_be_packed(
    tree: Path, files: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, places = files
    more = tmp_path / "more"
    more.mkdir()
    text = b"<comps/>"
    for name, packed in (("a", gzip.compress(text)), ("b", bz2.compress(text)), ("c", lzma.compress(text))):
        (more / name).write_bytes(packed)
    kinds = {"a": "group", "b": "updateinfo", "c": "extra"}
    run(tree, folder, {"packages": places, "metadata": kinds}, metadata=more)
    for kind in kinds.values():
        assert documents(tree)[f"{kind}.xml.gz"] == text
