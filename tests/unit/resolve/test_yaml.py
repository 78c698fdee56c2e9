"""What a template's YAML means before any directive: scalars, merge keys, broken input."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from templatefiles import Templates

from osbuild_core.model.errors import OsbuildError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-1.5e3", -1500.0),
        ("0644", "0644"),
        ("yes", "yes"),
        ("on", "on"),
        ("NO", "NO"),
        ("12:30:45", "12:30:45"),
        ("2025-01-01", "2025-01-01"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        ("'12'", "12"),
        ("!!str 12", "12"),
        ("!!float 1", 1),
        ("=", "="),
    ],
)
def test_scalars_are_those_of_json(templates: Templates, text: str, expected: object) -> None:
    found = templates.value(f"x: {text}")
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "text",
    [
        "x: !!python/object/apply:os.system [ls]",
        "x: !custom 1",
        "x: !!int word",
        "x: !!set {a, b}",
        "x: 1e999",
        "x: {a: 1, a: 2}",
        "x: {[a]: 1}",
        "x: {<<: 3}",
        "- a list",
        "x: &a [*a]",
        "x: &a {<<: *a}",
        "version: '1'",
        "variables: []",
        "sources: []",
        "pipelines: {}",
        "pipelines: [{name: a}, {name: a}]",
    ],
)
def test_refused(templates: Templates, text: str) -> None:
    assert templates.refused(text).code in ("resolve.template", "resolve.variable")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (b"x: [1,\ny: }", "main.yaml:2:4"),
        (b"x: *nowhere", "main.yaml:1:4"),
        (b"a: 1\n\tb: 2", "main.yaml:2:1"),
        (b"x: 1\n---\nx: 2\n", "main.yaml:2:1"),
        (b"x: \xff", "main.yaml"),
        (b"x: " + b"[" * 2000, "main.yaml"),
    ],
)
def test_broken_yaml_says_where(templates: Templates, text: bytes, where: str) -> None:
    error = templates.refused(text)
    assert (error.code, templates.where(error)) == ("resolve.yaml", where)


def test_missing_file_is_an_error(templates: Templates) -> None:
    assert templates.refused("$include: absent.yaml").code == "resolve.file"


def test_merge_keys_and_aliases(templates: Templates) -> None:
    text = """
        base: &base {a: 1, b: 1}
        more: &more {b: 2, c: 2}
        x: {c: 3, <<: [*base, *more]}
    """
    assert templates.value(text) == {"a": 1, "b": 1, "c": 3}


def test_aliases_cannot_grow_without_bound(templates: Templates) -> None:
    lines = ["l0: &l0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "250000" in templates.refused("\n".join(lines)).detail


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.sampled_from(
            "x|$if|$then|$include|$embed|text|${a}|$${|${|variables|: |- |\n|\n  |[|]|{|}|,|&a |*a|<<".split(
                "|"
            )
            + "'|\"|name|\\|1|true|~".split("|")
        ),
        max_size=40,
    )
)
def test_no_input_gives_a_traceback(templates: Templates, tokens: list[str]) -> None:
    try:
        templates.resolve("".join(tokens))
    except OsbuildError as error:
        assert "\n" not in error.detail
