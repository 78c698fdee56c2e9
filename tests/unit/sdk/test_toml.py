"""TOML: what is written is what the standard library reads."""

import datetime
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DOCUMENTS: list[dict[str, Any]] = [
    {},
    {"storage": {"options": {"additionalimagestores": ["/path/to/store"], "overlay": {"mountopt": "nodev"}}}},
    {
        "z": {"b": 1},
        "a": True,
        "list": [{"x": 1, "y": {"z": 2}}, {"x": 3}],
        "mixed": [1, {"inline": "x"}, []],
    },
    {
        "text": 'quotes " \\ tab\t newline\n bell\x07 delete\x7f ünïcode 🦊',
        "empty": "",
        "key with.dot": {"ü": 1},
    },
    {"numbers": [0, -1, 2**62, 1.5, 1e300, -0.25, float("inf")], "yes": [True, False]},
    {"when": datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC), "day": datetime.date(2024, 2, 29)},
    {"outer": {"inner": {}}, "rows": [{}]},
]


@pytest.fixture
def toml(sdk: Callable[[str], Any]) -> Any:
    return sdk("util.toml")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_is_written_is_what_was_meant(document: dict[str, Any], tmp_path: Path, toml: Any) -> None:
    path = tmp_path / "file.toml"
    toml.dump_to_file(document, str(path))
    assert tomllib.loads(path.read_text(encoding="utf-8")) == document
    assert toml.load_from_file(str(path)) == document


def test_a_file_may_begin_with_a_comment(tmp_path: Path, toml: Any) -> None:
    path = tmp_path / "file.toml"
    for header in (["made by", "a stage"], "made by\na stage"):
        toml.dump_to_file({"a": 1}, str(path), header)
        assert path.read_text() == "# made by\n# a stage\n\na = 1\n"


def test_what_toml_has_not_is_refused_before_anything_is_written(tmp_path: Path, toml: Any) -> None:
    with pytest.raises(TypeError, match="None"):
        toml.dump_to_file({"a": [None]}, str(tmp_path / "file.toml"))
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_toml_is_an_error(tmp_path: Path, toml: Any) -> None:
    (tmp_path / "file.toml").write_text("a = \n")
    with pytest.raises(ValueError):
        toml.load_from_file(str(tmp_path / "file.toml"))
    with pytest.raises(FileNotFoundError):
        toml.load_from_file(str(tmp_path / "none.toml"))
