from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Sdk = Callable[[str], Any]

WORDS = [
    "yes",
    "No",
    "null",
    "~",
    "",
    "1",
    "1.5",
    "0x1f",
    "a: b",
    "a #b",
    "- a",
    "[a]",
    "{a}",
    "*a",
    "| x",
    "=",
    "<<",
]
TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(WORDS)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.dictionaries(TEXT, VALUES, max_size=4))
def test_what_was_written_is_read(sdk: Sdk, data: dict[str, object]) -> None:
    text = sdk("util.yamltext").format_document(data)
    assert (yaml.safe_load(text) or {}) == data


def test_the_form(sdk: Sdk) -> None:
    data = {"list": ["Azure", "None", 1], "empty": {}, "outer": {"inner": {"a": True, "b": "| tee"}}}
    assert sdk("util.yamltext").format_document(data) == (
        "list: [Azure, None, 1]\nempty: {}\nouter:\n  inner:\n    a: true\n" + '    b: "| tee"\n'
    )


def test_what_json_has_not(sdk: Sdk) -> None:
    with pytest.raises(TypeError, match="no value"):
        sdk("util.yamltext").format_document({"a": {1}})
