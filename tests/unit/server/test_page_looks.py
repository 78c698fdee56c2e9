"""The page can be read: colours have contrast in both themes, what programs print is made plain."""

from __future__ import annotations

import re

import pytest

from osbuild_core.server.page import answer
from osbuild_core.server.page.commands import curl, same_compose

CSS = (answer.DIRECTORY / "static" / "page.css").read_text()
TEXTS = ("text", "quiet", "link", "done", "failed", "busy")
GROUNDS = ("ground", "raised")


def theme(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", block))


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_how_contrast_is_counted() -> None:
    assert round(contrast("#000000", "#ffffff"), 2) == 21.0
    assert round(contrast("#777777", "#ffffff"), 2) == 4.48


@pytest.mark.parametrize("number", [0, 1], ids=["light", "dark"])
def test_colours_have_contrast(number: int) -> None:
    colours = theme(re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)[number])
    assert set(TEXTS) | set(GROUNDS) <= set(colours)
    for ground in GROUNDS:
        for text in TEXTS:
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        assert contrast(colours["focus"], colours[ground]) >= 3


def test_colours_are_of_the_themes() -> None:
    rest = re.sub(r":root \{.*?\}", "", CSS, flags=re.DOTALL)
    assert not re.search(r"#[0-9a-f]{3,8}\b|rgb", rest)


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("a\tb\n", "a\tb\n"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x\x1b]8;;http://a\x1b\\y", "xy"),
        ("one\r\ntwo\rthree", "one\ntwothree"),
        ("bell\x07 null\x00 \x9b31m", "bell null 31m"),
        ("<b>&", "<b>&"),
    ],
)
def test_what_is_printed_is_made_plain(printed: str, shown: str) -> None:
    assert answer.plain(printed) == shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.04, "0.0 s"), (9.96, "10.0 s"), (59.9, "59 s"), (61, "1 min 1 s"), (7300, "2 h 1 min")],
)
def test_times_as_people_say_them(seconds: float | None, text: str) -> None:
    assert answer.duration(seconds) == text


def test_the_same_compose_in_a_shell() -> None:
    document = {
        "source_type": 3,
        "source": "http://a/$(id) deb",
        "packages": "bash ed",
        "builds": "",
        "flags": ["no_deps"],
        "arches": "x86_64",
        "multilib_arches": "",
        "multilib_method": 3,
        "lookaside_repos": "",
        "results": ["repository", "iso"],
        "sigkeys": "abc ",
        "label": None,
        "compose_type": "test",
        "target_dir": "default",
    }
    assert same_compose(document) == (
        "osbuild-core compose create repo 'http://a/$(id) deb' --package bash --package ed --flag no_deps "
        "--arch x86_64 --result iso --multilib-method runtime --multilib-method devel --sigkey abc --sigkey ''"
    )


def test_a_token_is_on_no_command_line() -> None:
    assert curl("http://a/b", "-N", token=False) == "curl -fsS -N http://a/b"
    with_token = curl("http://a/b", "-N", token=True)
    assert with_token.endswith("| curl -K - -fsS -N http://a/b")
    assert '"$OSBUILD_CORE_TOKEN"' in with_token.partition("|")[0]
