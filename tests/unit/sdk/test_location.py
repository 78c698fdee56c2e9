from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def location(sdk: Callable[[str], Any]) -> Any:
    return sdk("util.location")


@pytest.fixture
def args(tmp_path: Path) -> dict[str, Any]:
    """The arguments of a stage with an input; ``outside`` is in neither tree nor input."""
    for name in ("tree/etc", "in/etc"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").touch()
        (tmp_path / name / "link").symlink_to("/etc/file")
        (tmp_path / name / "away").symlink_to(tmp_path / "outside")
    (tmp_path / "outside").touch()
    return {"tree": str(tmp_path / "tree"), "inputs": {"in": {"path": str(tmp_path / "in")}}}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tree:///etc/file", "tree/etc/file"),
        ("input://in/etc/link", "in/etc/file"),
        ("input://in/../../etc/", "in/etc"),
        ("input://in", "in"),
    ],
)
def test_what_is_there_is_found(
    location: Any, args: dict[str, Any], tmp_path: Path, name: str, expected: str
) -> None:
    assert Path(location.find(name, args)) == tmp_path / expected


@pytest.mark.parametrize("name", ["tree:///none", "input://in/etc/away"])
def test_what_is_not_there_is_named(location: Any, args: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"^there is no {name}$"):
        location.find(name, args)


def test_the_only_file(location: Any) -> None:
    inputs: dict[str, Any] = {"file": {"path": "/inputs/file", "data": {"files": {"sha256:1": {}}}}}
    assert location.only_file(inputs) == "/inputs/file/sha256:1"
    inputs["image"] = {"path": "/inputs/image", "data": {"files": {"a": {}, "b": {}}}}
    with pytest.raises(ValueError, match="the input 'image' has to be one file, it has 2"):
        location.only_file(inputs, "image")
