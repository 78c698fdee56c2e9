import configparser
from pathlib import Path

from .harness import apply, mode_of, refuse

OPTIONS = {"arch": "x86_64", "product": "Fedora", "version": "40", "final": True}


def load(tree: Path) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string((tree / ".buildstamp").read_text())
    return parser["Main"]


def test_all_options(tree: Path) -> None:
    options = {**OPTIONS, "variant": "Server", "bugurl": "https://example.com/?a=%1"}
    apply("buildstamp", tree, options, epoch=1_700_000_000)
    assert (tree / ".buildstamp").read_text() == (
        "[Main]\nProduct=Fedora\nVersion=40\nBugURL=https://example.com/?a=%1\nIsFinal=True\n"
        "UUID=202311142213.x86_64\nVariant=Server\n"
    )
    assert mode_of(tree / ".buildstamp") == 0o644


def test_as_the_installer_reads_it(tree: Path) -> None:
    apply("buildstamp", tree, {**OPTIONS, "final": False})
    main = load(tree)
    assert (main.getboolean("IsFinal"), main["Version"]) == (False, "40")
    assert main["UUID"].endswith(".x86_64")
    assert "Variant" not in main


def test_a_value_cannot_bring_another_line(tree: Path) -> None:
    assert "Product has to be one line" in refuse("buildstamp", tree, {**OPTIONS, "product": "a\n[Compose]"})
    assert list(tree.iterdir()) == []
