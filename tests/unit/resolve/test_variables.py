"""Variables: declarations, values from outside, references."""

from __future__ import annotations

import pytest
from templatefiles import Templates

DECLARED = """
variables:
  name: web
  full: "${name}.example.org"
  count: 3
  ratio: 0.5
  on: {default: true, description: a switch}
  list: {default: [1, "${name}"], type: list}
  map: {default: {a: 1}}
  empty: {default: null}
x: %s
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${name}", "web"),
        ("${full}", "web.example.org"),
        ("${count}", 3),
        ("'${count}'", 3),
        ("${ratio}", 0.5),
        ("${on}", True),
        ("${list}", [1, "web"]),
        ("${map}", {"a": 1}),
        ("${empty}", None),
        ("'n=${count}, on=${on}'", "n=3, on=true"),
        ("$${name}", "${name}"),
        ("'$${a ${name} $$ $HOME $'", "${a web $$ $HOME $"),
        ("{'${name}-key': 1}", {"web-key": 1}),
        ("{$$if: 1, '$$$x': 2}", {"$if": 1, "$$x": 2}),
    ],
)
def test_reference(templates: Templates, text: str, expected: object) -> None:
    found = templates.value(DECLARED % text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("given", "name", "expected"),
    [
        ("4", "count", 4),
        ("1", "ratio", 1),
        ("false", "on", False),
        ("[true]", "list", [True]),
        ('{"b": null}', "map", {"b": None}),
        ("1", "name", "1"),
        ("${count} ü", "name", "${count} ü"),
        ("null", "empty", "null"),
    ],
)
def test_value_from_outside_has_the_type_of_the_default(
    templates: Templates, given: str, name: str, expected: object
) -> None:
    assert templates.value(DECLARED % f"${{{name}}}", **{name: given}) == expected


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("count", "four"),
        ("count", "1.5"),
        ("count", "true"),
        ("ratio", "NaN"),
        ("on", "yes"),
        ("list", "{}"),
        ("map", "[" * 5000),
        ("name", "\udcff"),
    ],
)
def test_value_of_the_wrong_type(templates: Templates, name: str, given: str) -> None:
    assert templates.refused(DECLARED % "1", **{name: given}).code == "resolve.variable"


def test_wrong_secret_is_not_shown(templates: Templates) -> None:
    error = templates.refused("variables: {pin: {default: 1, secret: true}}", pin="hunter2")
    assert "hunter2" not in error.detail


def test_undeclared_variable_has_place_and_suggestion(templates: Templates) -> None:
    error = templates.refused(DECLARED % "\n  - a: [1, '${nam}']")
    assert templates.where(error) == "main.yaml:12:12"
    assert error.place == ("x", 0, "a", 1)
    assert error.hint == "did you mean 'name'?"


def test_only_declared_variables_can_be_set(templates: Templates) -> None:
    error = templates.refused(DECLARED % "1", nme="a")
    assert (error.code, error.hint) == ("resolve.variable", "did you mean 'name'?")


@pytest.mark.parametrize("declaration", ["{required: true}", "{description: no default}", "{type: integer}"])
def test_required_variable(templates: Templates, declaration: str) -> None:
    text = f"variables: {{key: {declaration}}}\nx: ${{key}}"
    assert "-D key=" in str(templates.refused(text).hint)
    assert str(templates.value(text, key="5")) == "5"


@pytest.mark.parametrize(
    "text",
    [
        "variables: {a: '${b}', b: '${a}'}",
        "variables: {a: '${a}'}",
        "variables: {'1a': 1}",
        "variables: {embed: 1}",
        "variables: {a: {default: 1, type: string}}",
        "variables: {a: {default: 1, type: text}}",
        "variables: {a: {default: 1, required: maybe}}",
        "variables: {a: {b: 1}}",
        "variables: {a: [1]}\nx: 'list ${a}'",
        "x: '${'",
        "x: '${HOME:-/root}'",
        "x: '${embed.nothing}'",
        "variables: {a: 1}\nx: {'${a}': 1}",
    ],
)
def test_refused(templates: Templates, text: str) -> None:
    assert templates.refused(text).code in ("resolve.variable", "resolve.template")


def test_variables_are_not_in_the_manifest(templates: Templates) -> None:
    manifest = templates.resolve("variables: {a: 1}")
    assert list(manifest) == ["version", "metadata", "pipelines", "sources"]
