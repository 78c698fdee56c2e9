"""org.osbuild.btrfs, with a real file system."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from service_harness import running

from osbuild_core.protocol.service import RemoteError

from .filesystems import Places, mount_options

pytestmark = pytest.mark.root

MKFS = ("mkfs.btrfs", "-q")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


@pytest.fixture
def device(places: Places) -> Iterator[Path]:
    """A device with a file system that has the subvolume root."""
    with places.device(places.image("disk.img", 128, *MKFS)) as node:
        with running("mounts", "btrfs", namespace=True) as service:
            seen = places.mount(service, node)
            subprocess.run(["btrfs", "-q", "subvolume", "create", str(seen / "root")], check=True)
        yield node


def test_a_subvolume_is_mounted_written_and_unmounted(places: Places, device: Path) -> None:
    with running("mounts", "btrfs", namespace=True) as service:
        (places.mount(service, device, subvol="root", compress="zstd:3") / "file").write_text("content")
        assert {"subvol=/root", "compress=zstd:3"} <= mount_options(service, places)
    with running("mounts", "btrfs", namespace=True) as service:
        assert (places.mount(service, device) / "root/file").read_text() == "content"


def test_read_only(places: Places, device: Path) -> None:
    with running("mounts", "btrfs", namespace=True) as service:
        seen = places.mount(service, device, readonly=True, norecovery=True)
        assert "ro" in mount_options(service, places)
        with pytest.raises(OSError, match="Read-only"):
            (seen / "other").touch()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"subvol": "missing"}, "(btrfs) at "),
        ({"subvol": "root,ro"}, "subvol: a mount option cannot have a comma: 'root,ro'"),
    ],
)
def test_what_cannot_be_mounted_is_told(
    places: Places, device: Path, options: dict[str, str], said: str
) -> None:
    with running("mounts", "btrfs", namespace=True) as service:
        with pytest.raises(RemoteError) as caught:
            places.mount(service, device, **options)
        assert said in caught.value.value
