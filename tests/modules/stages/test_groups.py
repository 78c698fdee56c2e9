from pathlib import Path

import pytest

from .harness import apply, as_root, debian_tree, refuse

pytestmark = [pytest.mark.root, as_root]


@pytest.fixture
def debian(tree: Path) -> Path:
    return debian_tree(tree)


def numbers(tree: Path) -> dict[str, int]:
    entries = (line.split(":") for line in (tree / "etc/group").read_text().splitlines())
    return {entry[0]: int(entry[2]) for entry in entries}


def test_new_groups(debian: Path) -> None:
    apply("groups", debian, {"groups": {"web": {"gid": 1234}, "any.one": {}}}, host_usr=True)
    found = numbers(debian)
    assert found["web"] == 1234
    assert found["any.one"] not in (0, 27, 100)
    assert "web:!::" in (debian / "etc/gshadow").read_text()


def test_a_name_or_number_in_use(debian: Path) -> None:
    assert "'sudo' already exists" in refuse("groups", debian, {"groups": {"sudo": {}}}, host_usr=True)
    assert "'100'" in refuse("groups", debian, {"groups": {"web": {"gid": 100}}}, host_usr=True)
    assert "web" not in numbers(debian)


def test_by_force(debian: Path) -> None:
    options = {"force": True, "groups": {"sudo": {"gid": 1234}, "web": {"gid": 100}}}
    apply("groups", debian, options, host_usr=True)
    found = numbers(debian)
    assert (found["sudo"], found["users"]) == (27, 100)
    assert found["web"] not in (27, 100)


def test_half_a_number(debian: Path) -> None:
    assert "has to be whole" in refuse("groups", debian, {"groups": {"web": {"gid": 100.5}}}, host_usr=True)


def test_nothing_to_do(tree: Path) -> None:
    apply("groups", tree, {})
    assert list(tree.iterdir()) == []
