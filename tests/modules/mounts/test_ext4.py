"""org.osbuild.ext4, with a real file system."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from service_harness import ROOT, Running, running

from osbuild_core.protocol.service import RemoteError

pytestmark = pytest.mark.root


@pytest.fixture
def places(tmp_path: Path) -> Path:
    for name in ("tree", "dev", "mounts"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def device(places: Path) -> Iterator[Path]:
    """The node of a loop device with an ext4 file system."""
    image = places / "tree" / "disk.img"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    with running("devices", "loopback") as service:
        arguments = {
            "dev": str(places / "dev"),
            "tree": str(places / "tree"),
            "parent": None,
            "options": {"filename": "disk.img"},
        }
        reply: Any = service.call("open", arguments)
        yield places / "dev" / reply["path"]
    # Another test may have the device by now; its file is not ours then.
    backing = Path("/sys/block", reply["path"], "loop/backing_file")
    assert not backing.exists() or backing.read_text().strip() != str(image)


def mount(service: Running, places: Path, device: Path, target: str = "/", **options: Any) -> Any:
    return service.call(
        "mount",
        {
            "source": str(device),
            "target": target,
            "root": str(places / "mounts"),
            "tree": str(places / "tree"),
            "options": options,
        },
    )


def test_it_is_mounted_written_and_unmounted(places: Path, device: Path) -> None:
    with running("mounts", "ext4", namespace=True) as service:
        assert mount(service, places, device) == str(places / "mounts")
        seen = service.seen(places / "mounts")
        assert (seen / "lost+found").is_dir()
        (seen / "file").write_text("content")
        assert list((places / "mounts").iterdir()) == []
    with running("mounts", "ext4", namespace=True) as service:
        mount(service, places, device, readonly=True, norecovery=True)
        seen = service.seen(places / "mounts")
        assert (seen / "file").read_text() == "content"
        with pytest.raises(OSError):
            (seen / "other").touch()
        service.call("umount", {})
        assert not (seen / "file").exists()


def test_a_mount_in_a_mount_makes_its_directory(places: Path, device: Path) -> None:
    with running("mounts", "ext4", namespace=True) as service:
        assert mount(service, places, device, "/boot/efi") == str(places / "mounts/boot/efi")
        assert (service.seen(places / "mounts/boot/efi") / "lost+found").is_dir()


def test_a_target_does_not_leave_the_directory_of_mounts(places: Path, device: Path) -> None:
    (places / "mounts/link").symlink_to("/../outside")
    with running("mounts", "ext4", namespace=True) as service:
        assert mount(service, places, device, "../../link/x") == str(places / "mounts/outside/x")
    assert not (places / "outside").exists()


def test_what_cannot_be_mounted_is_told(places: Path, device: Path) -> None:
    os.truncate(places / "tree/disk.img", 0)
    with running("mounts", "ext4", namespace=True) as service:
        with pytest.raises(RemoteError) as caught:
            mount(service, places, places / "dev/missing")
        assert "dev/missing" in caught.value.value and "ext4" in caught.value.value


def test_every_option_of_the_schema_reaches_the_kernel(places: Path, device: Path) -> None:
    with running("mounts", "ext4", namespace=True) as service:
        mount(service, places, device, readonly=True, norecovery=True)
        lines = Path(f"/proc/{service.process.pid}/mountinfo").read_text().splitlines()
        (line,) = [line for line in lines if f" {places / 'mounts'} " in line]
        assert " ro" in line and "norecovery" in line
    assert (ROOT / "mounts/org.osbuild.ext4").stat().st_mode & 0o111
