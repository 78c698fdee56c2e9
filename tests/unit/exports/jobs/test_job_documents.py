"""YAML and JSON as templates have them, and format strings."""

from __future__ import annotations

import copy
import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from osbuild_core.exports.jobs.document import parse_document, read_document
from osbuild_core.exports.jobs.errors import DecodeValidationError, FormatStringError
from osbuild_core.exports.jobs.formatstring import FormatString
from osbuild_core.model.errors import UsageError

# Beyond these, YAML has characters that are no text, and no pairs of escapes; and PyYAML writes YAML 1.1, where
# 1e3 is a string.
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8).filter(
    lambda text: re.fullmatch(r"[-+]?[0-9.]+[eE][-+]?[0-9]+", text) is None
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
DOCUMENTS = st.dictionaries(
    TEXTS,
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
        max_leaves=20,
    ),
    max_size=5,
)


def refusal(data: bytes | str, as_json: bool = False) -> str:
    with pytest.raises(DecodeValidationError) as caught:
        parse_document(data, as_json=as_json)
    (issue,) = caught.value.issues
    assert issue.code == "job.document"
    return issue.message


@given(DOCUMENTS)
def test_what_is_written_is_read(document: dict[str, Any]) -> None:
    assert parse_document(json.dumps(document), as_json=True) == document
    assert parse_document(json.dumps(document), as_json=False) == document
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
    assert json.dumps(parse_document(text, as_json=False)) == json.dumps(document)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("No", "No"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("0644", "0644"),
        ("0x1F", "0x1F"),
        ("12", 12),
        ("-3", -3),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2025-01-01", "2025-01-01"),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        (".inf", ".inf"),
        (".", "."),
        ("1.2.3", "1.2.3"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("!!float 12", 12),
        ("! 12", "12"),
        ("<<", "<<"),
        ("[1, [a]]", [1, ["a"]]),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_scalars_are_those_of_json(written: str, value: object) -> None:
    found = parse_document(f"a: {written}", as_json=False)["a"]
    assert (found, type(found)) == (value, type(value))


def test_anchors_and_merges() -> None:
    text = """
    one: &one {a: 1, b: 2}
    two: &two {b: 3, c: 4}
    both: {<<: [*one, *two], d: 5, a: 0}
    again: *one
    word: &word x
    words: [*word, *word]
    """
    found = parse_document(text, as_json=False)
    assert found["both"] == {"a": 0, "b": 2, "c": 4, "d": 5}
    assert found["again"] is found["one"]
    assert found["words"] == ["x", "x"]


def test_aliases_do_not_multiply() -> None:
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 40))
    assert len(parse_document(f"a0: &a0 [x]\n{levels}", as_json=False)) == 40


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it has to be a mapping, not empty"),
        ("- a", "it has to be a mapping, not a list"),
        ("a", "it has to be a mapping, not a string"),
        ("a: b: c", "line 1, column 5: it is not YAML"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1: the key 'a' occurs twice"),
        ("a: 1\n---\nb: 2", "line 2, column 1: a second document begins"),
        ("a: *b", "line 1, column 4: the alias *b stands for nothing"),
        ("a: &b [*b]", "the alias *b stands for nothing"),
        ("[1]: 2", "a list cannot be a key"),
        ("a: !!python/object:os.system {}", "the tag"),
        ("a: !!int x", "'x' is not what its tag says"),
        ("<<: 5", "can be merged"),
        ("a: " + "[" * 200_000, "nested too deeply"),
        ("- " * 200_000, "nested too deeply"),
        ("a: \x07", "it is not YAML"),
        ("a: " + "9" * 5000, "5000 digits"),
    ],
)
def test_what_is_wrong_with_yaml_is_told_with_its_place(text: str, message: str) -> None:
    assert message in refusal(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is not JSON"),
        ('{"a": 1', "line 1 column 8"),
        ("[]", "not a list"),
        ('{"a": {"b": 1, "b": 2}}', "the key 'b' occurs twice"),
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a":' * 200_000, "nested too deeply"),
        ("\ufeff{}", "byte order mark"),
        (r'{"a": ["\ud83d x"]}', r"\ud83d is half of a character"),
        (r'{"\udc00": 1}', r"\udc00 is half of a character"),
        ('{"a": ' + "9" * 5000 + "}", "it is not JSON"),
    ],
)
def test_what_is_wrong_with_json_is_told(text: str, message: str) -> None:
    assert message in refusal(text, as_json=True)


def test_bytes_that_are_no_text() -> None:
    assert refusal(b"a: \xff") == "it is not UTF-8 text"
    assert parse_document(b"\xef\xbb\xbfa: 1", as_json=False) == {"a": 1}


def test_a_file_without_an_end_is_no_template() -> None:
    with pytest.raises(UsageError, match="more than 64 MiB"):
        read_document("/dev/zero")


def test_a_file_is_json_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "t.JSON").write_text("a: 1")
    (tmp_path / "t.yml").write_text("a: 1")
    assert read_document(tmp_path / "t.yml") == {"a": 1}
    with pytest.raises(DecodeValidationError, match=r"t\.JSON: it is not JSON"):
        read_document(tmp_path / "t.JSON")
    for path in (tmp_path, tmp_path / "none", "", "a\0b"):
        with pytest.raises(UsageError, match="cannot read") as caught:
            read_document(path)
        assert caught.value.code == "usage.template"


def test_format_strings_resolve() -> None:
    text = FormatString("a {{ Param.A }}{{Param.B}} }b{ {c}")
    assert text == "a {{ Param.A }}{{Param.B}} }b{ {c}" == text.original_value
    assert [reference.name for reference in text.references] == ["Param.A", "Param.B"]
    assert text.resolve({"Param.A": "{{Param.B}}", "Param.B": ""}) == "a {{Param.B}} }b{ {c}"
    with pytest.raises(FormatStringError, match=r"Param\.B has no value here"):
        text.resolve({"Param.A": "1"})
    assert FormatString("").resolve({}) == ""


def test_format_strings_can_be_copied() -> None:
    text = FormatString("{{ A.b }}")
    for other in (pickle.loads(pickle.dumps(text)), copy.deepcopy(text)):
        assert (type(other), other, other.resolve({"A.b": "c"})) == (FormatString, text, "c")


@given(st.lists(st.sampled_from(["{{", "}}", "{", "}", " ", "A", ".", "b", "\n", "1"]), max_size=12))
def test_whatever_is_written_is_a_format_string_or_is_refused(pieces: list[str]) -> None:
    written = "".join(pieces)
    try:
        text = FormatString(written)
    except FormatStringError as error:
        assert "{{" in written or "}}" in written, error
        return
    values = {reference.name: f"{{{{{reference.name}}}}}" for reference in text.references}
    assert text.resolve(values).replace(" ", "").replace("\n", "") == written.replace(" ", "").replace(
        "\n", ""
    )
