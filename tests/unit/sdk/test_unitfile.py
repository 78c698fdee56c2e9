from collections.abc import Callable
from typing import Any

import pytest

Sdk = Callable[[str], Any]


def test_sections_and_lists(sdk: Sdk) -> None:
    config = {"Unit": {"Description": "x"}, "Service": {"ExecStart": ["/a", "/b c"], "Nice": 5, "User": ""}}
    text = "[Unit]\nDescription=x\n\n[Service]\nExecStart=/a\nExecStart=/b c\nNice=5\nUser=\n"
    assert sdk("util.unitfile").format_unit(config) == text


@pytest.mark.parametrize("value", ["a\nb", "a\\", ["/a", "/b\nc"]])
def test_a_value_stays_on_its_line(sdk: Sdk, value: object) -> None:
    with pytest.raises(ValueError, match=r"^ExecStart "):
        sdk("util.unitfile").format_unit({"Service": {"ExecStart": value}})


def test_variables(sdk: Sdk) -> None:
    format_variable = sdk("util.unitfile").format_variable
    assert format_variable({"key": "A_1", "value": 'x "y" \\'}) == '"A_1=x \\"y\\" \\\\"'
    assert format_variable({"key": "A"}) == '"A="'
    for key in ("", "1A", 'A" "B', "A=B", "A\n"):
        with pytest.raises(ValueError, match="not the name of a variable"):
            format_variable({"key": key, "value": "x"})
