import configparser
from collections.abc import Callable
from typing import Any

import pytest

Sdk = Callable[[str], Any]

TEXT = """\
# at the top
[main]
# key=commented
key = old
   and more
other=1

[next]
key=theirs
"""


def test_sections(sdk: Sdk) -> None:
    sections = [("a b", [("x", "1"), ("y", 2)]), ("c", [])]
    assert sdk("util.inifile").format_sections(sections) == "[a b]\nx=1\ny=2\n\n[c]\n"
    assert sdk("util.inifile").format_sections([]) == ""


@pytest.mark.parametrize("name", ["", "a]", "[a", "a\nb"])
def test_what_no_section_is_called(sdk: Sdk, name: str) -> None:
    with pytest.raises(ValueError, match="section"):
        sdk("util.inifile").format_sections([(name, [])])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("", "1"),
        (" a", "1"),
        ("a ", "1"),
        ("a=b", "1"),
        ("#a", "1"),
        (";a", "1"),
        ("[a", "1"),
        ("a", "1\nb=2"),
    ],
)
def test_what_no_setting_can_be(sdk: Sdk, key: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"setting|one line"):
        sdk("util.inifile").format_sections([("a", [(key, value)])])


def test_a_change_in_place(sdk: Sdk) -> None:
    changed = sdk("util.inifile").change(TEXT, "main", {"key": "new", "third": "3"})
    assert changed == TEXT.replace("key = old\n   and more\n", "key=new\n").replace(
        "other=1\n", "other=1\nthird=3\n"
    )


def test_the_last_section_and_a_missing_end_of_line(sdk: Sdk) -> None:
    change = sdk("util.inifile").change
    assert change("[a]\nx=1", "a", {"y": "2"}) == "[a]\nx=1\ny=2\n"
    assert change("[a]\n\n", "a", {"y": "2"}) == "[a]\ny=2\n\n"


def test_a_new_section(sdk: Sdk) -> None:
    change = sdk("util.inifile").change
    assert change("", "a", {"x": "1"}) == "[a]\nx=1\n"
    assert change("# only this\n", "a", {"x": "1"}) == "# only this\n\n[a]\nx=1\n"
    assert change("[b]\nx=1\n", "a", {"x": "2"}) == "[b]\nx=1\n\n[a]\nx=2\n"


def test_what_is_set_twice(sdk: Sdk) -> None:
    change = sdk("util.inifile").change
    assert change("[a]\nx=1\ny=1\nx=2\n[b]\n[a]\nx=3\n", "a", {"x": "4"}) == "[a]\nx=4\ny=1\n[b]\n[a]\n"


def test_a_second_change_changes_nothing(sdk: Sdk) -> None:
    change = sdk("util.inifile").change
    once = change(TEXT, "new", {"x": "1"})
    assert change(once, "new", {"x": "1"}) == once


def test_python_reads_it_back(sdk: Sdk) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(sdk("util.inifile").change(TEXT, "main", {"key": "a = [b] # c"}))
    assert dict(parser["main"]) == {"key": "a = [b] # c", "other": "1"}
    assert dict(parser["next"]) == {"key": "theirs"}
