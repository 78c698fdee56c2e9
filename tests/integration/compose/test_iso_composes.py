"""Composes with ISO images, read back by xorriso and used by dnf and apt."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import productmd.composeinfo
import productmd.images
import pytest

from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.generate import Place, Result, generate, resolve
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType
from tests.packages.archives import NATIVE, machine
from tests.packages.keys import Key

pytestmark = pytest.mark.root
TREE = "compose/Temporary"
BOTH = frozenset({"repository", "iso"})


@pytest.fixture
def request_(rpms: Path) -> ComposeRequest:
    return ComposeRequest(SourceType.repo, str(rpms), packages=("ed",), koji_event=17, results=BOTH)


def image(result: Result, folder: str = "x86_64/iso") -> Path:
    (found,) = (result.directory / TREE / folder).glob("*.iso")
    return found


def unpacked(iso: Path, place: Path) -> Path:
    command = ["xorriso", "-no_rc", "-osirrox", "on", "-indev", iso, "-extract", "/", place]
    subprocess.run(command, capture_output=True, check=True)
    return place


def files(tree: Path) -> dict[str, bytes]:
    return {
        path.relative_to(tree).as_posix(): path.read_bytes()
        for path in sorted(tree.rglob("*"))
        if path.is_file()
    }


def test_an_image_of_each_architecture(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path, compose_key: Key
) -> None:
    request = replace(request_, packages=("ed", "libtext"), arches=("x86_64", "i686"))
    keyring = tmp_path / "keyring.gpg"
    subprocess.run(["gpg", "--dearmor", "-o", str(keyring), str(compose_key.public)], check=True)
    lines: list[str] = []
    one = generate(request, Place(tmp_path / "target", 1), settings, log=lines.append)
    metadata = one.directory / "compose/metadata"
    images = productmd.images.Images()
    images.load(str(metadata / "images.json"))
    for arch in ("x86_64", "i686"):
        (described,) = images.images["Temporary"][arch]
        iso = one.directory / "compose" / described.path
        assert iso == image(one, f"{arch}/iso")
        assert iso.name == f"{one.pungi_compose_id}-Temporary-{arch}-dvd1.iso"
        assert (described.size, described.volume_id) == (iso.stat().st_size, f"ODCS-1-{arch.upper()}")
        # All that the repository beside it has, but for the signatures.
        repository = files(one.directory / TREE / arch / "os")
        unsigned = {name: data for name, data in repository.items() if "repomd.xml." not in name}
        assert files(unpacked(iso, tmp_path / arch)) == unsigned
        assert any(f"sha256:{described.checksums['sha256']}" in line for line in lines)
        check = ["sha256sum", "--check", "--strict", "CHECKSUM"]
        assert subprocess.run(check, cwd=iso.parent, capture_output=True).returncode == 0
        verify = ["gpgv", "--keyring", str(keyring), "CHECKSUM.asc", "CHECKSUM"]
        assert subprocess.run(verify, cwd=iso.parent, capture_output=True).returncode == 0
    info = productmd.composeinfo.ComposeInfo()
    info.load(str(metadata / "composeinfo.json"))
    assert info.variants["Temporary"].paths.isos["x86_64"] == "Temporary/x86_64/iso"


def test_the_same_bytes_on_a_rebuild_and_dnf_installs_from_it(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    one = generate(request_, Place(tmp_path / "target", 1), settings)
    document = json.loads(json.dumps(one.locked))
    elsewhere = replace(settings, store=tmp_path / "store")
    two = generate(request_, Place(tmp_path / "target", 2), elsewhere, locked=document)
    assert image(one).name != image(two).name
    assert image(one).read_bytes() == image(two).read_bytes()
    tree = unpacked(image(two), tmp_path / "disc")
    root = tmp_path / "root"
    dnf = ["dnf", "--assumeyes", f"--installroot={root}", "--releasever=1", "--forcearch=x86_64"]
    dnf += ["--disablerepo=*", f"--repofrompath=disc,file://{tree}", "--enablerepo=disc", "--nogpgcheck"]
    options = {"cachedir": tmp_path / "cache", "logdir": tmp_path, "reposdir": tmp_path, "plugins": 0}
    dnf += [f"--setopt={name}={value}" for name, value in options.items()]
    done = subprocess.run([*dnf, "install", "ed"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (root / "usr/bin/ed").is_file()


def test_without_xorriso_nothing_is_begun(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    # In a process with a mount namespace of its own, in which the program cannot be run.
    script = (
        "import pickle, sys; from osbuild_core.exports.compose.generate import Place, generate\n"
        "request, place, settings = pickle.load(sys.stdin.buffer)\n"
        "try: generate(request, place, settings, log=print)\n"
        "except Exception as error: print(error.code, error.detail, error.hint, sep='|')"
    )
    hide = 'mount --bind /dev/null /usr/bin/xorrisofs && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", hide, "-", sys.executable, "-c", script]
    given = pickle.dumps((request_, Place(tmp_path / "target", 1), settings))
    said = subprocess.run(command, input=given, capture_output=True, check=True).stdout.decode().splitlines()
    reason = "the result iso needs the program xorrisofs, which this machine does not have"
    hint = "install the package xorriso where composes are made"
    assert said == [f"ERROR: {reason}", f"hint: {hint}", f"compose.dependency|{reason}|{hint}"]


def test_apt_takes_a_disc(archive: Path, settings: ComposeSettings, tmp_path: Path) -> None:
    source = f"deb file://{archive} stable main contrib"
    request = ComposeRequest(SourceType.repo, source, packages=("hello",), arches=(NATIVE,), results=BOTH)
    result = generate(resolve(request, settings), Place(tmp_path / "target", 1), settings)
    described = json.loads((result.directory / "compose/metadata/images.json").read_text())
    (found,) = described["images"]
    iso = result.directory / "compose" / found["path"]
    assert (iso, found["volume_id"]) == (image(result, "iso"), "ODCS-1-STABLE")
    tree = unpacked(iso, tmp_path / "disc")
    of_files = f"Types: deb\nURIs: file://{tree}\nSuites: stable\nComponents: main contrib\nTrusted: yes\n"
    of_disc = ["-o", "Dir::Etc::sourcelist=sources.list", "-o", f"Acquire::cdrom::mount={tree}"]
    of_disc += ["-o", "APT::CDROM::NoMount=true", "-o", "APT::Get::AllowUnauthenticated=true"]
    for name, entries, first, more in (
        ("files", of_files, ["apt-get", "update"], []),
        ("disc", "", ["apt-cdrom", "add"], of_disc),
    ):
        options = [*machine(tmp_path / name, entries), *more]
        for program, *command in (first, ["apt-get", "-y", "--no-install-recommends", "install", "hello"]):
            run = [program, *options, *command]
            done = subprocess.run(run, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            assert done.returncode == 0, done.stdout + done.stderr
        assert (tmp_path / name / "usr/share/hello/text").read_text() == "hello\n"
