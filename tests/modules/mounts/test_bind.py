"""org.osbuild.bind."""

from pathlib import Path
from typing import Any

import pytest
from service_harness import Running, running

from osbuild_core.protocol.service import RemoteError

pytestmark = pytest.mark.root


@pytest.fixture
def places(tmp_path: Path) -> Path:
    for name in ("tree/boot", "mounts/boot/efi"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "mounts/boot/kernel").write_text("kernel")
    (tmp_path / "mounts/top").write_text("top")
    return tmp_path


def bind(service: Running, places: Path, source: str, target: str) -> Any:
    return service.call(
        "mount",
        {
            "source": None,
            "target": target,
            "root": str(places / "mounts"),
            "tree": str(places / "tree"),
            "options": {"source": source},
        },
    )


@pytest.mark.parametrize(
    ("source", "target", "file"),
    [
        ("mount://", "tree://", "top"),
        ("mount:///", "tree:///", "boot/kernel"),
        ("mount:///boot", "tree:///boot", "boot/kernel"),
        ("mount://boot/", "tree://boot", "boot/kernel"),
    ],
)
def test_a_directory_of_the_mounts_appears_in_the_tree(
    source: str, target: str, file: str, places: Path
) -> None:
    with running("mounts", "bind", namespace=True) as service:
        assert bind(service, places, source, target) is None
        seen = service.seen(places / "tree")
        assert (seen / file).read_text() == file.rsplit("/", maxsplit=1)[-1]
        (seen / "boot/new").write_text("new")
        assert not (places / "tree/boot/new").exists()
        service.call("umount", {})
        assert not (seen / file).exists()
    assert (places / "mounts/boot/new").read_text() == "new"


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("tree:///boot", "tree:///boot"),
        ("mount:///boot", "mount:///boot"),
        ("mount:///missing", "tree:///boot"),
        ("mount:///boot", "tree:///missing"),
        ("mount:///../../../etc", "tree:///boot"),
        ("", "tree:///boot"),
    ],
)
def test_other_places_are_refused(source: str, target: str, places: Path) -> None:
    with running("mounts", "bind", namespace=True) as service, pytest.raises(RemoteError):
        bind(service, places, source, target)
