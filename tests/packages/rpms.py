"""Small RPM packages, made by the real rpmbuild, and repositories of them."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import itertools
import lzma
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

BUILT = 1_600_000_000
"""When all packages were built, in seconds since 1970."""


@dataclass(frozen=True)
class Rpm:
    """One binary package. ``source`` is the name of its source package, by default its own, which has ``changes``
    entries in its log."""

    name: str
    version: str = "1.0"
    release: str = "1"
    arch: str = "x86_64"
    source: str | None = None
    requires: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    recommends: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    changes: int = 0

    @property
    def filename(self) -> str:
        return f"{self.name}-{self.version}-{self.release}.{self.arch}.rpm"


def build(
    folder: Path, packages: Iterable[Rpm], *, sources: bool = False, blob: int | Callable[[Rpm], int] = 0
) -> Path:
    """Build ``packages`` into ``folder``, with ``sources`` their source packages as well; return the folder.

    Each gets a file of ``blob`` random bytes.
    """
    size = blob if callable(blob) else lambda _: blob
    folder.mkdir(parents=True, exist_ok=True)
    work = folder / ".work"
    work.mkdir(exist_ok=True)

    def of(rpm: Rpm) -> tuple[str, str, str, str]:
        return (rpm.source or rpm.name, rpm.version, rpm.release, rpm.arch)

    for key, group in itertools.groupby(sorted(packages, key=of), of):
        _build_one(folder, work, key, [(rpm, size(rpm)) for rpm in group], sources)
    return folder


def repository(
    folder: Path, packages: Iterable[Rpm], *, sources: bool = False, revision: int | None = None
) -> Path:
    """Build ``packages`` and make ``folder`` a repository of them."""
    build(folder, packages, sources=sources)
    index(folder, revision)
    return folder


def index(folder: Path, revision: int | None = None) -> None:
    """Write the metadata of the repository ``folder`` with createrepo_c."""
    command = ["createrepo_c", "--quiet", "--no-database", "--excludes", ".work/*"]
    if revision is not None:
        command += ["--revision", str(revision)]
    subprocess.run([*command, str(folder)], check=True)


def repack(folder: Path, kind: str, *, cut: int = 0) -> None:
    """Pack the metadata of the repository ``folder`` anew: ``kind`` is zst, gz, xz, bz2, or empty for not at all.

    ``cut`` bytes are missing at the end of each file.
    """
    for path in sorted((folder / "repodata").glob("*.gz")):
        data = gzip.decompress(path.read_bytes())
        if kind == "zst":
            made = subprocess.run(["zstd", "--quiet"], input=data, capture_output=True, check=True).stdout
        else:
            made = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}.get(kind, bytes)(data)
        name = path.name.removesuffix(".gz").rpartition("-")[2]
        replaced(folder, path, made[: len(made) - cut], f"{name}.{kind}".rstrip("."))


def replaced(folder: Path, path: Path, data: bytes, name: str | None = None) -> None:
    """Put ``data`` in the place of the file ``path`` of the metadata of the repository ``folder``."""
    repomd = folder / "repodata/repomd.xml"
    before, after = (hashlib.sha256(one).hexdigest() for one in (path.read_bytes(), data))
    new = f"{after}-{name or path.name.rpartition('-')[2]}"
    text = repomd.read_text().replace(f"repodata/{path.name}", f"repodata/{new}")
    text = text.replace(f'<checksum type="sha256">{before}', f'<checksum type="sha256">{after}')
    repomd.write_text(text.replace(f"<size>{path.stat().st_size}<", f"<size>{len(data)}<"))
    path.unlink()
    (folder / "repodata" / new).write_bytes(data)


def _build_one(
    folder: Path, work: Path, key: tuple[str, str, str, str], group: list[tuple[Rpm, int]], sources: bool
) -> None:
    source, version, release, arch = key
    spec = work / f"{source}.spec"
    spec.write_text(_spec(source, version, release, arch, group))
    command = ["rpmbuild", "-ba" if sources else "-bb", "--quiet", "--target", arch, "--nodeps"]
    settings = {
        "_topdir": str(work / "top"),
        "_rpmdir": str(folder),
        "_srcrpmdir": str(folder),
        "_build_name_fmt": "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
        "_buildhost": "localhost",
        "use_source_date_epoch_as_buildtime": "1",
        "debug_package": "%{nil}",
        "__os_install_post": "%{nil}",
        "_build_id_links": "none",
        "_binary_payload": "w1.gzdio",
    }
    for name, value in settings.items():
        command += ["--define", f"{name} {value}"]
    done = subprocess.run(
        [*command, str(spec)],
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "SOURCE_DATE_EPOCH": str(BUILT), "HOME": str(work)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout


def _spec(source: str, version: str, release: str, arch: str, sized: list[tuple[Rpm, int]]) -> str:
    group = [rpm for rpm, _ in sized]
    lines = [
        *(f"Name: {source}", f"Version: {version}", f"Release: {release}", f"Summary: test {source}"),
        *("License: MIT", "AutoReqProv: no"),
    ]
    if arch == "noarch":
        lines.append("BuildArch: noarch")
    own = [rpm for rpm in group if rpm.name == source]
    for rpm in own:
        lines += _relations(rpm)
    lines += ["%description", f"The test package {source}."]
    for rpm in group:
        if rpm.name != source:
            lines += [
                f"%package -n {rpm.name}",
                f"Summary: test {rpm.name}",
                "AutoReqProv: no",
                *_relations(rpm),
            ]
            lines += [f"%description -n {rpm.name}", f"The test package {rpm.name}."]
    lines.append("%install")
    folders = {path.rpartition("/")[0] for rpm in group for path in rpm.files}
    folders |= {f"/usr/lib/{rpm.name}" for rpm, blob in sized if blob}
    # As few programs as can be: a package may have many files.
    if folders:
        lines.append("mkdir -p " + " ".join(f'"%{{buildroot}}{folder}"' for folder in sorted(folders)))
    for rpm, blob in sized:
        lines += [f"echo '{text}' > \"%{{buildroot}}{path}\"" for path, text in rpm.files.items()]
        if blob:
            lines.append(f"head -c {blob} /dev/urandom > %{{buildroot}}/usr/lib/{rpm.name}/blob")
    for rpm, blob in sized:
        lines += ["%files" if rpm.name == source else f"%files -n {rpm.name}", *rpm.files]
        if blob:
            lines.append(f"/usr/lib/{rpm.name}/blob")
    changes = max(rpm.changes for rpm in group)
    lines += ["%changelog"] if changes else []
    for number in range(changes, 0, -1):
        lines += [
            f"* {time.strftime('%a %b %d %Y', time.gmtime(BUILT - 86400 * (changes - number)))}"
            f" Nobody <nobody@example.org> - {version}-{number}",
            f"- Change {number} of {source}, which is about as long as changes are",
            "",
        ]
    return "\n".join(lines) + "\n"


def _relations(rpm: Rpm) -> list[str]:
    lines = [f"Requires: {one}" for one in rpm.requires]
    lines += [f"Provides: {one}" for one in rpm.provides]
    return lines + [f"Recommends: {one}" for one in rpm.recommends]
