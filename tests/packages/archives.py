"""Debian archives of packages that tests build, written by apt-ftparchive and signed by gpg."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.modules.stages import debs
from tests.packages.keys import Key, clearsign

NATIVE = debs.NATIVE


def add(root: Path, name: str, fields: Mapping[str, str] | None = None, component: str = "main") -> Path:
    """Build a package into the pool of the archive ``root``."""
    work = root.parent / f".{root.name}-{name}"
    work.mkdir()
    built = debs.build(work, name, fields, files={f"usr/share/{name}/text": f"{name}\n"})
    version = (fields or {}).get("Version", "1.0").partition(":")[2] or (fields or {}).get("Version", "1.0")
    architecture = (fields or {}).get("Architecture", NATIVE)
    target = root / "pool" / component / name[0] / name / f"{name}_{version}_{architecture}.deb"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(built, target)
    shutil.rmtree(work)
    return target


def add_source(root: Path, name: str, version: str = "1.0", component: str = "main") -> None:
    """Build a source package into the pool of the archive ``root``; with a revision it has an upstream tar file."""
    work = root.parent / f".{root.name}-{name}-source"
    upstream, _, revision = version.partition("-")
    tree = work / f"{name}-{upstream}"
    (tree / "debian/source").mkdir(parents=True)
    (tree / "debian/source/format").write_text(f"3.0 ({'quilt' if revision else 'native'})\n")
    (tree / "debian/control").write_text(
        f"Source: {name}\nMaintainer: Nobody <nobody@example.org>\n\n"
        f"Package: {name}\nArchitecture: any\nDescription: test package {name}\n"
    )
    (tree / "debian/changelog").write_text(
        f"{name} ({version}) stable; urgency=low\n\n  * One.\n\n"
        " -- Nobody <nobody@example.org>  Tue, 14 Nov 2023 22:13:20 +0000\n"
    )
    if revision:
        (tree / "text").write_text(f"{name}\n")
        tar = ["tar", "-czf", f"{name}_{upstream}.orig.tar.gz", "--exclude=debian", tree.name]
        subprocess.run(tar, cwd=work, check=True)
    subprocess.run(["dpkg-source", "--build", tree.name], cwd=work, check=True, capture_output=True)
    target = root / "pool" / component / name[0] / name
    target.mkdir(parents=True, exist_ok=True)
    for path in work.glob(f"{name}_*"):
        path.rename(target / path.name)
    shutil.rmtree(work)


def write(root: Path, suite: str = "stable", key: Key | None = None, architecture: str = NATIVE) -> None:
    """Write the indexes of the archive ``root``, and sign them."""
    components = sorted(path.name for path in (root / "pool").iterdir())
    base = root / "dists" / suite
    for component in components:
        index = base / component / f"binary-{architecture}" / "Packages"
        index.parent.mkdir(parents=True, exist_ok=True)
        index.write_bytes(_run(root, "packages", f"pool/{component}"))
        if list((root / "pool" / component).rglob("*.dsc")):
            sources = base / component / "source" / "Sources"
            sources.parent.mkdir(parents=True, exist_ok=True)
            sources.write_bytes(_run(root, "sources", f"pool/{component}"))
    settings = {
        "Suite": suite,
        "Codename": suite,
        "Architectures": architecture,
        "Components": " ".join(components),
    }
    options = [
        word
        for name, value in settings.items()
        for word in ("-o", f"APT::FTPArchive::Release::{name}={value}")
    ]
    for name in ("Release", "InRelease"):
        (base / name).unlink(missing_ok=True)
    text = _run(root, *options, "release", str(base))
    (base / "Release").write_bytes(text)
    if key is not None:
        clearsign(key, base / "Release", base / "InRelease")


def _run(root: Path, *arguments: str) -> bytes:
    done = subprocess.run(["apt-ftparchive", *arguments], cwd=root, check=True, capture_output=True)
    return done.stdout


def machine(root: Path, entries: str) -> list[str]:
    """Make a machine on which nothing is installed and no key is trusted; return the options for its apt."""
    for name in (
        "var/lib/dpkg/info",
        "var/lib/dpkg/updates",
        "var/lib/apt/lists/partial",
        "var/log/apt",
        "etc/apt/preferences.d",
        "var/cache/apt/archives/partial",
    ):
        (root / name).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    sources = root / "etc/apt/sources.list.d"
    sources.mkdir(parents=True)
    (sources / "compose.sources").write_text(entries)
    options = {
        "Dir": root,
        "Dir::State::status": root / "var/lib/dpkg/status",
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": sources,
        "Dir::Etc::trusted": "/dev/null",
        "Dir::Etc::trustedparts": "/dev/null",
        "APT::Sandbox::User": "root",
        "APT::Architecture": NATIVE,
        "Debug::NoLocking": "true",
        "Dir::Bin::dpkg": "/usr/bin/dpkg",
        "DPkg::Options::": f"--root={root}",
        "APT::Update::Error-Mode": "any",
    }
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
