"""org.osbuild.files."""

from pathlib import Path
from typing import Any

import pytest
from service_harness import running

from osbuild_core.protocol.service import RemoteError
from osbuild_core.protocol.store_api import StoreServer

from .shelf import Shelf, request

SOURCE = "org.osbuild.source"
PIPELINE = "org.osbuild.pipeline"


def map_files(tmp_path: Path, shelf: Shelf, origin: str, refs: dict[str, Any]) -> Any:
    with StoreServer(tmp_path / "socket", shelf), running("inputs", "files") as service:
        return service.call("map", request(tmp_path, origin, refs))


def test_files_of_sources_are_linked_by_checksum(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    for name in ("sha256:1", "sha256:2"):
        (shelf.sources / name).write_text(name)
    reply = map_files(
        tmp_path, shelf, SOURCE, {"sha256:1": {"metadata": {"rpm.check_gpg": True}}, "sha256:2": {}}
    )
    target = tmp_path / "target"
    assert reply == {
        "path": str(target),
        "data": {"files": {"sha256:1": {"rpm.check_gpg": True}, "sha256:2": {}}},
    }
    assert sorted(path.name for path in target.iterdir()) == ["sha256:1", "sha256:2"]
    assert (target / "sha256:1").samefile(shelf.sources / "sha256:1")


def test_thousands_of_files_arrive(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    names = [f"sha256:{n:064x}" for n in range(3000)]
    for name in names:
        (shelf.sources / name).touch()
    reply = map_files(tmp_path, shelf, SOURCE, {name: {} for name in names})
    assert list(reply["data"]["files"]) == names


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RemoteError) as caught:
        map_files(tmp_path, Shelf(tmp_path), SOURCE, {"sha256:1": {}})
    assert "sha256:1" in caught.value.value


def test_files_of_trees_are_shown_not_copied(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    refs = {"one": {"file": "/disk.img"}, "two": {"file": "boot/../boot/vmlinuz", "metadata": {"a.b": {}}}}
    reply = map_files(tmp_path, shelf, PIPELINE, refs)
    assert reply["data"]["files"] == {"disk.img": {}, "boot/vmlinuz": {"a.b": {}}}
    target = tmp_path / "target"
    assert shelf.shown == [
        ("one", str(target / "disk.img"), "disk.img"),
        ("two", str(target / "boot/vmlinuz"), "boot/vmlinuz"),
    ]
    assert (target / "boot/vmlinuz").stat().st_size == 0


@pytest.mark.parametrize(
    "refs",
    [
        {"one": {}},
        {"one": {"file": "/"}},
        {"one": {"file": "a"}, "two": {"file": "/a"}},
        {"one": {"file": "a"}, "two": {"file": "a/b"}},
    ],
)
def test_unclear_references_are_refused(refs: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RemoteError):
        map_files(tmp_path, Shelf(tmp_path), PIPELINE, refs)


def test_a_path_does_not_leave_the_target(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    map_files(tmp_path, shelf, PIPELINE, {"one": {"file": "../../out"}})
    assert [target for _, target, _ in shelf.shown] == [str(tmp_path / "target" / "out")]


def test_another_origin_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RemoteError):
        map_files(tmp_path, Shelf(tmp_path), "org.example", {})
