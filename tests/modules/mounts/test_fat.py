"""org.osbuild.fat, with a real file system where the kernel has it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from service_harness import Running, running

from osbuild_core.protocol.service import RemoteError

from .filesystems import Places, mount_options

pytestmark = pytest.mark.root


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


@pytest.fixture
def device(places: Places) -> Iterator[Path]:
    with places.device(places.image("disk.img", 16, "mkfs.fat")) as node:
        yield node


def mount(service: Running, places: Places, device: Path, **options: object) -> Path:
    try:
        return places.mount(service, device, "/", **options)
    except RemoteError as error:
        if "the kernel has no such file system" in error.value:
            pytest.skip("the kernel has no vfat")
        raise


def test_it_is_mounted_with_all_options(places: Places, device: Path) -> None:
    options = {"uid": 12, "gid": 34, "umask": "027", "shortname": "winnt"}
    with running("mounts", "fat", namespace=True) as service:
        seen = mount(service, places, device, **options)
        (seen / "file").write_text("content")
        found = (seen / "file").stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (12, 34, 0o750)
        assert {"shortname=winnt"} <= mount_options(service, places)
    listed = subprocess.run(
        ["mdir", "-b", "-i", places.tree / "disk.img"], stdout=subprocess.PIPE, check=True
    )
    assert listed.stdout.strip().lower() == b"::/file"


def test_read_only(places: Places, device: Path) -> None:
    with running("mounts", "fat", namespace=True) as service:
        seen = mount(service, places, device, readonly=True)
        with pytest.raises(OSError, match="Read-only"):
            (seen / "other").touch()


def test_what_cannot_be_mounted_is_told(places: Places) -> None:
    image = places.image("empty.img", 1, "true")
    with places.device(image) as device, running("mounts", "fat", namespace=True) as service:
        with pytest.raises(RemoteError) as caught:
            places.mount(service, device)
        assert f"cannot mount {device} (vfat)" in caught.value.value
