"""Package files and the order of packages."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def deb(sdk: Callable[[str], Any]) -> Any:
    return sdk("util.deb")


def package(deb: Any, name: str, *, essential: bool = False, **fields: str) -> Any:
    control = {"Package": name, "Version": "1", "Architecture": "all"}
    if essential:
        control["Essential"] = "yes"
    control.update({key.replace("_", "-"): value for key, value in fields.items()})
    return deb.Package(f"/{name}.deb", control, {})


@pytest.mark.parametrize("compression", ["xz", "gzip", "none", "zstd"])
def test_a_package_file_is_read(deb: Any, tmp_path: Path, compression: str) -> None:
    control = tmp_path / "root/DEBIAN"
    control.mkdir(parents=True)
    (control / "control").write_text(
        "Package: one\nVersion: 1:2.0-1\nArchitecture: amd64\nMulti-Arch: same\n"
        "Maintainer: Nobody <nobody@example.org>\n"
        "Depends: two (>= 1) | three,\n four:any\nDescription: short\n long\n .\n longer\n"
    )
    (control / "postinst").write_text("#!/bin/sh\n")
    (control / "postinst").chmod(0o755)
    (tmp_path / "root/usr/bin").mkdir(parents=True)
    (tmp_path / "root/usr/bin/one").write_text("one")
    (tmp_path / "root/usr/bin/link").symlink_to("one")
    path = tmp_path / "file without suffix"
    command = [
        "dpkg-deb",
        f"-Z{compression}",
        "--uniform-compression",
        "--build",
        str(tmp_path / "root"),
        str(path),
    ]
    subprocess.run(command, check=True, capture_output=True)
    found = deb.read(str(path))
    assert (found.name, found.version, found.info_name, found.essential) == (
        "one",
        "1:2.0-1",
        "one:amd64",
        False,
    )
    assert found.relations("Depends") == [["two", "three"], ["four"]]
    assert found.fields["Description"] == "short\n long\n .\n longer"
    assert found.control["postinst"][:2] == (b"#!/bin/sh\n", 0o755)
    assert sorted(deb.paths(str(path))) == ["usr/bin/link", "usr/bin/one"]


@pytest.mark.parametrize("compression", ["xz", "gzip", "none", "zstd"])
def test_a_package_whose_files_are_cut_off(deb: Any, tmp_path: Path, compression: str) -> None:
    (tmp_path / "root/DEBIAN").mkdir(parents=True)
    (tmp_path / "root/DEBIAN/control").write_text(
        "Package: one\nVersion: 1\nArchitecture: all\nMaintainer: N <n@example.org>\nDescription: short\n"
    )
    for name in ("one", "two"):
        (tmp_path / "root" / name).write_bytes(random.Random(name).randbytes(100_000))
    path = tmp_path / "package"
    subprocess.run(["dpkg-deb", f"-Z{compression}", "--build", str(tmp_path / "root"), str(path)], check=True)
    assert sorted(deb.paths(str(path))) == ["one", "two"]
    path.write_bytes(path.read_bytes()[:60_000])
    with pytest.raises(deb.DebError):
        deb.paths(str(path))


@pytest.mark.parametrize("content", [b"", b"!<arch>\n", b"!<arch>\n" + b"x" * 200, b"PK\3\4"])
def test_other_files_are_refused(deb: Any, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(deb.DebError, match="file: "):
        deb.read(str(path))


def test_relations(deb: Any) -> None:
    assert deb.parse_relations("") == []
    assert deb.parse_relations("a, b (= 1) | c:any,\n d<!nocheck>, ") == [["a"], ["b", "c"], ["d"]]


def test_the_core_has_all_that_essential_packages_need(deb: Any) -> None:
    packages = deb.PackageSet(
        [
            package(deb, "shell", essential=True, Pre_Depends="libc", Depends="awk"),
            package(deb, "libc", Depends="libgcc"),
            package(deb, "libgcc", Depends="libc"),
            package(deb, "mawk", Provides="awk"),
            package(deb, "dpkg"),
            package(deb, "other", Depends="libc"),
        ]
    )
    assert packages.core() == {"shell", "libc", "libgcc", "mawk", "dpkg"}


def test_a_package_is_preferred_to_one_that_provides_it(deb: Any) -> None:
    packages = deb.PackageSet([package(deb, "busybox", Provides="awk"), package(deb, "awk")])
    assert packages.choose(["gawk", "awk"]) == "awk"
    assert packages.choose(["gawk"]) is None


def test_unpacking_waits_for_what_has_to_be_configured(deb: Any) -> None:
    packages = deb.PackageSet(
        [
            package(deb, "a", Pre_Depends="b"),
            package(deb, "b", Depends="c"),
            package(deb, "c"),
            package(deb, "d", Depends="a"),
        ]
    )
    assert packages.unpack_order(["a", "b", "c", "d"]) == [["b", "c", "d"], ["a"]]
    # What is not asked for is there already.
    assert packages.unpack_order(["a", "d"]) == [["a", "d"]]


def test_packages_that_pre_depend_on_each_other(deb: Any) -> None:
    packages = deb.PackageSet(
        [package(deb, "a", Pre_Depends="b"), package(deb, "b", Depends="c"), package(deb, "c", Depends="a")]
    )
    with pytest.raises(deb.DebError, match="pre-depend on each other"):
        deb.PackageSet([package(deb, "x", Pre_Depends="y"), package(deb, "y", Pre_Depends="x")]).unpack_order(
            ["x", "y"]
        )
    # A circle through Depends alone can be unpacked.
    assert packages.unpack_order(["b", "c"]) == [["b", "c"]]
