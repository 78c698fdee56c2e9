"""org.osbuild.deb-repository: what it writes is what apt reads."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from debian.deb822 import Deb822, Packages, Release

from tests.packages import archives

from . import debs
from .raw import run_raw

EPOCH = 1_700_000_000


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("debs")
    debs.build(folder, "hello", {"Section": "misc", "Depends": "greet (>= 1)"}, files={"usr/bin/hello": "hi"})
    debs.build(folder, "greet", {"Architecture": "all"}, files={"usr/share/greet/a b": "x"})
    return folder


@pytest.fixture(scope="module")
def places(packages: Path) -> dict[str, str]:
    return {path.name: f"pool/main/p/{name_of(path)}.deb" for path in packages.iterdir()}


def name_of(path: Path) -> str:
    shown = subprocess.run(
        ["dpkg-deb", "-f", str(path), "Package"], capture_output=True, text=True, check=True
    )
    return shown.stdout.strip()


def make(tree: Path, packages: Path, options: dict[str, Any]) -> None:
    ended = run_raw(
        "deb-repository", tree, {"suite": "test", **options}, files={"packages": packages}, epoch=EPOCH
    )
    assert ended.status == 0, ended.log


def snapshot(tree: Path) -> dict[str, bytes]:
    return {str(p.relative_to(tree)): p.read_bytes() for p in sorted(tree.rglob("*")) if p.is_file()}


def test_the_index_has_what_the_packages_say(tree: Path, packages: Path, places: dict[str, str]) -> None:
    make(tree, packages, {"packages": places, "origin": "Us", "description": "a test"})
    index = tree / f"dists/test/main/binary-{debs.NATIVE}/Packages.xz"
    stanzas = list(Packages.iter_paragraphs(lzma.decompress(index.read_bytes()), use_apt_pkg=False))
    assert [stanza["Package"] for stanza in stanzas] == ["greet", "hello"]
    hello = stanzas[1]
    assert hello["Depends"] == "greet (>= 1)"
    assert hello["Description"] == "test package hello\n with a second line"
    for stanza in stanzas:
        name = f"sha256:{stanza['SHA256']}"
        assert places[name] == stanza["Filename"]
        assert int(stanza["Size"]) == (packages / name).stat().st_size
    assert not list(tree.rglob("*.deb"))
    release = Deb822((tree / "dists/test/Release").read_text())
    assert release["Date"] == "Tue, 14 Nov 2023 22:13:20 UTC"
    assert (release["Origin"], release["Suite"], release["Codename"]) == ("Us", "test", "test")
    assert release["Architectures"] == debs.NATIVE


def test_every_file_is_in_release_and_by_its_checksum(
    tree: Path, packages: Path, places: dict[str, str]
) -> None:
    make(tree, packages, {"packages": places})
    suite = tree / "dists/test"
    listed = {one["name"]: one for one in Release((suite / "Release").read_text())["SHA256"]}
    for path in suite.rglob("*"):
        if path.is_file() and path.name != "Release" and "by-hash" not in path.parts:
            data, entry = path.read_bytes(), listed[str(path.relative_to(suite))]
            assert entry["sha256"] == hashlib.sha256(data).hexdigest()
            assert int(entry["size"]) == len(data)
            assert (path.parent / "by-hash/SHA256" / entry["sha256"]).samefile(path)
    # apt asks for what it would be without packing.
    assert f"main/binary-{debs.NATIVE}/Packages" in listed


def test_contents(tree: Path, packages: Path, places: dict[str, str]) -> None:
    make(tree, packages, {"packages": places})
    text = gzip.decompress((tree / f"dists/test/main/Contents-{debs.NATIVE}.gz").read_bytes()).decode()
    assert [line.split("  ")[0] for line in text.splitlines()] == ["usr/bin/hello", "usr/share/greet/a b"]
    assert text.splitlines()[0].endswith(" misc/hello")
    make(tree, packages, {"packages": places, "contents": False, "path": "/bare"})
    assert not list((tree / "bare").rglob("Contents*"))


def test_packages_have_their_usual_places(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "input"
    folder.mkdir()
    debs.build(folder, "libx1", {"Version": "2:1.5-1", "Source": "libx (1.4)"})
    make(tree, folder, {"copy_packages": True})
    assert [path.relative_to(tree).as_posix() for path in tree.rglob("*.deb")] == [
        f"pool/main/libx/libx/libx1_1.5-1_{debs.NATIVE}.deb"
    ]


def test_the_same_packages_give_the_same_bytes(
    tmp_path: Path, packages: Path, places: dict[str, str]
) -> None:
    shots = []
    for number in range(2):
        tree = tmp_path / f"tree{number}"
        tree.mkdir()
        for path in packages.iterdir():
            os.utime(path, (number, number))
        make(tree, packages, {"packages": places})
        shots.append(snapshot(tree))
    assert shots[0] == shots[1]


def apt_get(tree: Path, state: Path, kind: str) -> list[str]:
    """Return apt-get with the repository in ``tree`` as its only one (``deb`` or ``deb-src``), which it has read."""
    for name in ("lists/partial", "cache/archives/partial"):
        (state / name).mkdir(parents=True)
    (state / "status").touch()
    (state / "sources.list").write_text(f"{kind} [trusted=yes] file://{tree} test main\n")
    options = {
        "Dir::State": state,
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "true",
    }
    command = [
        "apt-get",
        "-q",
        *(word for name, value in options.items() for word in ("-o", f"{name}={value}")),
    ]
    subprocess.run([*command, "update"], check=True, capture_output=True)
    return command


def test_apt_takes_the_packages(tree: Path, packages: Path, places: dict[str, str], tmp_path: Path) -> None:
    make(tree, packages, {"packages": places, "copy_packages": True})
    state = tmp_path / "apt"
    apt = apt_get(tree, state, "deb")
    done = subprocess.run(
        [*apt, "download", "hello", "greet"], check=True, capture_output=True, text=True, cwd=state
    )
    assert "E:" not in done.stderr
    downloaded = {f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in state.glob("*.deb")}
    assert downloaded == set(places)
    shown = subprocess.run(
        [*apt, "--print-uris", "-qq", "install", "hello"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "greet" in shown


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"packages": None}, "is the place of two packages"),
        ({"architectures": ["m68k"]}, "which is not among architectures"),
    ],
)
def test_what_cannot_be(
    tree: Path, packages: Path, places: dict[str, str], options: dict[str, Any], reason: str
) -> None:
    if options.get("packages", places) is None:
        options = {"packages": dict.fromkeys(places, "pool/main/x.deb")}
    ended = run_raw(
        "deb-repository", tree, {"suite": "t", "packages": places, **options}, files={"packages": packages}
    )
    assert ended.status == 1
    assert reason in ended.log


def test_a_file_that_is_no_package(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "x").write_text("no package")
    options = {"suite": "t", "packages": {"x": "pool/main/x.deb"}}
    ended = run_raw("deb-repository", tree, options, files={"packages": folder})
    assert ended.status == 1
    assert "not a Debian package" in ended.log


def source_package(folder: Path, name: str, signed: bool = False) -> dict[str, str]:
    """Build a source package into ``folder``, its files under their checksums; return their places."""
    work = folder.parent / "archive"
    archives.add_source(work, name)
    if signed:
        (dsc,) = work.rglob(f"{name}_1.0.dsc")
        armor = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n", "\n-----BEGIN PGP SIGNATURE-----\nx\n"
        dsc.write_text(armor[0] + dsc.read_text() + armor[1])
    folder.mkdir(exist_ok=True)
    places = {}
    for path in work.rglob(f"{name}_*"):
        checksum = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        places[checksum] = f"pool/main/{name[0]}/{name}/{path.name}"
        path.rename(folder / checksum)
    return places


def test_apt_takes_source_packages(
    tree: Path, packages: Path, places: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "input"
    sources = {**source_package(folder, "hello"), **source_package(folder, "greet", signed=True)}
    options = {"suite": "test", "packages": places, "sources": sources, "copy_packages": True}
    ended = run_raw(
        "deb-repository", tree, options, files={"packages": packages, "sources": folder}, epoch=EPOCH
    )
    assert ended.status == 0, ended.log
    text = lzma.decompress((tree / "dists/test/main/source/Sources.xz").read_bytes()).decode()
    stanzas = list(Deb822.iter_paragraphs(text, use_apt_pkg=False))
    assert [(one["Package"], one["Version"], one["Directory"]) for one in stanzas] == [
        ("greet", "1.0", "pool/main/g/greet"),
        ("hello", "1.0", "pool/main/h/hello"),
    ]
    state = tmp_path / "apt"
    apt = apt_get(tree, state, "deb-src")
    done = subprocess.run(
        [*apt, "source", "--download-only", "hello", "greet"],
        check=True,
        capture_output=True,
        text=True,
        cwd=state,
    )
    taken = {path.name for path in state.iterdir() if path.is_file()} - {"status", "sources.list"}
    assert taken == {f"{name}_1.0.{end}" for name in ("hello", "greet") for end in ("dsc", "tar.xz")}, done
    for name in taken:
        place = f"pool/main/{name[0]}/{name.partition('_')[0]}/{name}"
        assert (state / name).read_bytes() == (tree / place).read_bytes()


def test_source_packages_that_are_not_whole(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "input"
    sources = source_package(folder, "hello")
    (tar,) = (name for name, place in sources.items() if place.endswith(".tar.xz"))
    (folder / tar).unlink()
    ended = run_raw("deb-repository", tree, {"suite": "t", "sources": sources}, files={"sources": folder})
    assert ended.status == 1
    assert "its file hello_1.0.tar.xz is not in the input" in ended.log


def test_packages_do_not_say_where_they_are(tree: Path, tmp_path: Path) -> None:
    lies = {"Filename": "pool/other.deb", "sha256": "0" * 64, "Size": "1"}
    path = debs.build(tmp_path / "debs", "liar", {**lies, "Homepage": "https://example.org"})
    folder = path.parent
    make(tree, folder, {"packages": {path.name: "pool/main/l/liar.deb"}})
    index = tree / f"dists/test/main/binary-{debs.NATIVE}/Packages.xz"
    text = lzma.decompress(index.read_bytes()).decode()
    assert [
        line
        for line in text.splitlines()
        if line.startswith(("Filename", "Size", "SHA", "sha", "Sta", "Home"))
    ] == [
        "Homepage: https://example.org",
        "Filename: pool/main/l/liar.deb",
        f"Size: {path.stat().st_size}",
        f"SHA256: {hashlib.sha256(path.read_bytes()).hexdigest()}",
    ]
