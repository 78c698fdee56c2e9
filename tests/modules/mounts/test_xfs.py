"""org.osbuild.xfs, with a real file system."""

from pathlib import Path

import pytest
from service_harness import running

from osbuild_core.protocol.service import RemoteError

from .filesystems import Places, mount_options

pytestmark = pytest.mark.root

MKFS = ("mkfs.xfs", "-q", "-m", "uuid=8d7e7a1e-6c2b-4a59-9a0b-2f3fd0a7c111")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def test_it_is_mounted_written_and_unmounted(places: Places) -> None:
    with places.device(places.image("disk.img", 300, *MKFS)) as device:
        with running("mounts", "xfs", namespace=True) as service:
            seen = places.mount(service, device, "/data")
            (seen / "file").write_text("content")
            assert not (places.mounts / "data/file").exists()
        with running("mounts", "xfs", namespace=True) as service:
            seen = places.mount(service, device, readonly=True, norecovery=True)
            assert (seen / "file").read_text() == "content"
            assert {"ro", "norecovery"} <= mount_options(service, places)
            with pytest.raises(OSError, match="Read-only"):
                (seen / "other").touch()


def test_two_with_the_same_uuid_are_mounted_at_once(tmp_path: Path) -> None:
    """As two pipelines have them that build the same disk for two formats."""
    one, two = Places(tmp_path / "one"), Places(tmp_path / "two")
    with (
        one.device(one.image("disk.img", 300, *MKFS)) as first,
        two.device(two.image("disk.img", 300, *MKFS)) as second,
        running("mounts", "xfs", namespace=True) as left,
        running("mounts", "xfs", namespace=True) as right,
    ):
        for name, seen in (("left", one.mount(left, first)), ("right", two.mount(right, second))):
            (seen / name).touch()
            assert [path.name for path in seen.iterdir()] == [name]


def test_what_cannot_be_mounted_is_told(places: Places) -> None:
    image = places.image("disk.img", 1, "true")
    with places.device(image) as device, running("mounts", "xfs", namespace=True) as service:
        with pytest.raises(RemoteError) as caught:
            places.mount(service, device)
        assert f"cannot mount {device} (xfs)" in caught.value.value
