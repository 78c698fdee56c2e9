"""org.osbuild.squashfs, with a real image."""

import subprocess
from pathlib import Path

import pytest
from service_harness import running

from osbuild_core.protocol.service import RemoteError

from .filesystems import Places, mount_options

pytestmark = pytest.mark.root


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_it_is_mounted_read_only_and_unmounted(places: Places, tmp_path: Path, size: int) -> None:
    source, image = tmp_path / "source", places.tree / "disk.img"
    source.mkdir()
    (source / "file").write_bytes(b"x" * size)
    subprocess.run(["mksquashfs", source, image, "-quiet", "-no-progress"], check=True)
    with places.device("disk.img") as device, running("mounts", "squashfs", namespace=True) as service:
        seen = places.mount(service, device)
        assert "ro" in mount_options(service, places)
        assert (seen / "file").stat().st_size == size
        service.call("umount", {})
        assert not (seen / "file").exists()


def test_what_cannot_be_mounted_is_told(places: Places) -> None:
    image = places.image("disk.img", 1, "true")
    with places.device(image) as device, running("mounts", "squashfs", namespace=True) as service:
        with pytest.raises(RemoteError) as caught:
            places.mount(service, device)
        assert f"cannot mount {device} (squashfs)" in caught.value.value
