"""The machine's apt entries, in both formats."""

from __future__ import annotations

from pathlib import Path

from osbuild_core.resolve.entries import read_entries, select
from osbuild_core.resolve.packageset import PackageSet

ONE_LINE = """
# deb http://commented.example/debian bookworm main
deb http://a.example/debian bookworm main contrib # a comment
deb-src http://a.example/debian bookworm main
deb [ arch=amd64,arm64 signed-by=/k.gpg lang=de ] https://b.example/debian/ bookworm main
deb [arch=armhf] http://c.example/debian bookworm main
deb cdrom:[Debian 12]/ bookworm main
deb tor+http://d.example/debian bookworm main
deb file:/srv/debian bookworm main
deb http://flat.example/ ./
broken
"""

DEB822 = """
# a comment
Types: deb deb-src
URIs: http://e.example/debian http://f.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 AAAA
 -----END PGP PUBLIC KEY BLOCK-----

Enabled: no
Types: deb
URIs: http://g.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://h.example/debian
Suites: bookworm
Components: main
"""


def machine(tmp_path: Path) -> Path:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text(ONE_LINE)
    (parts / "x.sources").write_text(DEB822)
    (parts / "x.list.save").write_text("deb http://z.example/debian bookworm main")
    (parts / "y z.list").write_text("deb http://z.example/debian bookworm main")
    return tmp_path


def urls(tmp_path: Path, wanted: PackageSet, architecture: str = "amd64") -> list[str]:
    found = select(read_entries(machine(tmp_path)), wanted, architecture, None)
    return [f"{entry.url} {entry.suite} {'+'.join(entry.components)}" for entry in found]


def test_only_enabled_binary_entries_that_serve_the_suite(tmp_path: Path) -> None:
    assert urls(tmp_path, PackageSet("bookworm", updates=False)) == [
        "http://a.example/debian bookworm main",
        "https://b.example/debian/ bookworm main",
        "file:///srv/debian bookworm main",
        "http://e.example/debian bookworm main",
        "http://f.example/debian bookworm main",
    ]


def test_updates_components_and_architecture(tmp_path: Path) -> None:
    found = urls(tmp_path, PackageSet("bookworm", ("contrib", "main")), "armhf")
    assert "http://a.example/debian bookworm main+contrib" in found
    assert "http://c.example/debian bookworm main" in found
    assert "http://e.example/debian bookworm-updates main" in found
    assert not any("b.example" in line for line in found)


def test_options_are_carried_over(tmp_path: Path) -> None:
    entries = read_entries(machine(tmp_path)).entries
    one = next(e for e in entries if "b.example" in e.url)
    assert one.render().splitlines()[-1] == "Signed-By: /k.gpg"
    inline = next(e for e in entries if "e.example" in e.url).render()
    assert "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n AAAA\n" in inline


def test_no_directory_at_all(tmp_path: Path) -> None:
    assert read_entries(tmp_path / "absent").entries == ()
