from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse

BUILT = """\
title Linux
linux  /run/osbuild/tree/boot/vmlinuz-1
initrd /run/osbuild/tree/boot/initrd-1 /a/boot/ucode
options root=UUID=1 rd.key=/usr/boot/key
"""
FOUND = "linux /boot/vmlinuz-2\ninitrd /boot/initrd-2\n"


@pytest.fixture
def entries(tree: Path) -> Path:
    folder = tree / "boot/loader/entries"
    folder.mkdir(parents=True)
    (folder / "1.conf").write_text(BUILT)
    (folder / "1.conf").chmod(0o600)
    (folder / "2.conf").write_text(FOUND)
    (folder / "other").write_text(BUILT)
    return folder


@pytest.mark.parametrize(
    ("options", "prefix", "second"),
    [
        ({}, "/boot", "/boot"),
        ({"prefix": ""}, "", "/boot"),
        ({"prefix": "", "require_boot_prefix": False}, "", ""),
        ({"prefix": "/x\\1", "require_boot_prefix": True}, "/x\\1", "/boot"),
    ],
)
def test_paths(tree: Path, entries: Path, options: dict[str, object], prefix: str, second: str) -> None:
    apply("fix-bls", tree, options)
    assert (entries / "1.conf").read_text() == (
        f"title Linux\nlinux  {prefix}/vmlinuz-1\ninitrd {prefix}/initrd-1 {prefix}/ucode\n"
        "options root=UUID=1 rd.key=/usr/boot/key\n"
    )
    assert (entries / "2.conf").read_text() == FOUND.replace("/boot", second)
    assert (entries / "other").read_text() == BUILT
    assert mode_of(entries / "1.conf") == 0o600


def test_no_entries(tree: Path) -> None:
    apply("fix-bls", tree, {})
    assert list(tree.iterdir()) == []


def test_the_prefix_is_one_line(tree: Path, entries: Path) -> None:
    assert "prefix has to be one line" in refuse("fix-bls", tree, {"prefix": "/boot\nlinux "})
    assert (entries / "1.conf").read_text() == BUILT
