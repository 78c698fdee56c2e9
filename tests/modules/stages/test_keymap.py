import subprocess
from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse

MODELS = """\
# consolelayout  xlayout  xmodel  xvariant  xoptions
sg         ch   pc105  de_nodeadkeys  terminate:ctrl_alt_bksp
de-latin1  de   pc105  -              terminate:ctrl_alt_bksp
"""


@pytest.fixture
def debian(tree: Path) -> Path:
    (tree / "etc/default").mkdir(parents=True)
    (tree / "etc/debian_version").write_text("12.5\n")
    (tree / "usr/share/systemd").mkdir(parents=True)
    (tree / "usr/share/systemd/kbd-model-map").write_text(MODELS)
    return tree


def sourced(path: Path, *names: str) -> list[str]:
    """What a shell has in ``names`` after reading ``path``."""
    script = f'. "{path}"; ' + " ".join(f'echo "${name}";' for name in names)
    return subprocess.run(["sh", "-ec", script], stdout=subprocess.PIPE, text=True, check=True).stdout.split(
        "\n"
    )


def test_the_console(tree: Path) -> None:
    (tree / "etc").mkdir()
    (tree / "etc/vconsole.conf").write_text("KEYMAP=us\nFONT=old\n")
    apply("keymap", tree, {"keymap": "de-latin1"})
    assert (tree / "etc/vconsole.conf").read_text() == "KEYMAP=de-latin1\n"
    assert mode_of(tree / "etc/vconsole.conf") == 0o644
    assert not (tree / "etc/X11").exists()
    assert not (tree / "etc/default").exists()


def test_font_and_x(tree: Path) -> None:
    options = {"keymap": "se-dvorak", "font": "eurlatgr", "x11-keymap": {"layouts": ["cz", "us"]}}
    apply("keymap", tree, options)
    assert (tree / "etc/vconsole.conf").read_text() == "KEYMAP=se-dvorak\nFONT=eurlatgr\n"
    lines = (tree / "etc/X11/xorg.conf.d/00-keyboard.conf").read_text().splitlines()
    assert (lines[0], lines[-1]) == ('Section "InputClass"', "EndSection")
    assert '        Option "XkbLayout" "cz,us"' in lines


def test_debian_gets_the_layout_of_the_console(debian: Path) -> None:
    apply("keymap", debian, {"keymap": "sg"})
    names = ("XKBMODEL", "XKBLAYOUT", "XKBVARIANT", "XKBOPTIONS", "BACKSPACE")
    expected = ["pc105", "ch", "de_nodeadkeys", "terminate:ctrl_alt_bksp", "guess", ""]
    assert sourced(debian / "etc/default/keyboard", *names) == expected
    assert (debian / "etc/vconsole.conf").read_text() == "KEYMAP=sg\n"


@pytest.mark.parametrize(
    ("options", "layout"),
    [
        ({"keymap": "fr"}, "fr"),
        ({"keymap": "se-dvorak", "x11-keymap": {"layouts": ["se", "us"]}}, "se,us"),
    ],
)
def test_debian_without_an_entry_in_the_table(debian: Path, options: dict[str, object], layout: str) -> None:
    apply("keymap", debian, options)
    assert sourced(debian / "etc/default/keyboard", "XKBLAYOUT")[0] == layout


def test_debian_cannot_do_without_a_layout(debian: Path) -> None:
    assert "give x11-keymap" in refuse("keymap", debian, {"keymap": "se-dvorak"})
    assert not (debian / "etc/vconsole.conf").exists()


def test_one_file_for_both(debian: Path) -> None:
    (debian / "etc/default/keyboard").write_text("XKBLAYOUT=us\n")
    (debian / "etc/vconsole.conf").symlink_to("default/keyboard")
    apply("keymap", debian, {"keymap": "de-latin1"})
    assert (debian / "etc/vconsole.conf").is_symlink()
    found = sourced(debian / "etc/default/keyboard", "KEYMAP", "XKBLAYOUT")
    assert found[:2] == ["de-latin1", "de"]


def test_debian_gets_the_font(debian: Path) -> None:
    (debian / "etc/default/console-setup").write_text('CODESET="guessed"\nFONT=old\n')
    options = {"keymap": "us", "font": "Lat15-Fixed16"}
    assert "is not in /usr/share/consolefonts" in refuse("keymap", debian, options)
    (debian / "usr/share/consolefonts").mkdir()
    (debian / "usr/share/consolefonts/Lat15-Fixed16.psf.gz").touch()
    apply("keymap", debian, options)
    assert (debian / "etc/default/console-setup").read_text() == (
        'CODESET="guessed"\nFONT=Lat15-Fixed16.psf.gz\n'
    )


@pytest.mark.parametrize("name", ["us\nFONT=x", "us x", "", "../us", 'u"s'])
def test_what_is_no_name(tree: Path, name: str) -> None:
    assert "a keymap" in refuse("keymap", tree, {"keymap": name})
    assert "a layout" in refuse("keymap", tree, {"keymap": "us", "x11-keymap": {"layouts": [name]}})
    assert not (tree / "etc").exists()
