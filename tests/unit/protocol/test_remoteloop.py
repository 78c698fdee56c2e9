import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.protocol.jsoncomm import Socket
from osbuild_core.protocol.remoteloop import RemoteLoopServer

pytestmark = pytest.mark.root


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(b"".join(bytes([n]) * 512 for n in range(200)))
    return path


@pytest.fixture
def nodes(tmp_path: Path) -> Path:
    path = tmp_path / "dev"
    path.mkdir()
    return path


def backing(name: str) -> str | None:
    path = Path("/sys/block", name, "loop/backing_file")
    return path.read_text().strip() if path.exists() else None


def test_a_stage_gets_a_device(image: Path, nodes: Path, tmp_path: Path, sdk: Callable[[str], Any]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with RemoteLoopServer(tmp_path / "socket"), sdk("remoteloop").LoopClient(tmp_path / "socket") as client:
        fd = os.open(image, os.O_RDWR)
        folder = os.open(nodes, os.O_PATH)
        name = client.create_device(fd, folder, offset=1024, sizelimit=2048, lock=True)
        os.close(fd)
        os.close(folder)
        assert stat.S_ISBLK((nodes / name).stat().st_mode)
        assert (nodes / name).read_bytes() == image.read_bytes()[1024:3072]
        (nodes / name).write_bytes(b"new" + bytes(509))
        assert backing(name) == str(image)
    assert backing(name) != str(image)
    assert image.read_bytes()[1024:1027] == b"new"
    assert len(os.listdir("/proc/self/fd")) == before


def test_read_only_devices_and_other_sectors(
    image: Path, nodes: Path, tmp_path: Path, sdk: Callable[[str], Any]
) -> None:
    with RemoteLoopServer(tmp_path / "socket"), sdk("remoteloop").LoopClient(tmp_path / "socket") as client:
        fd = os.open(image, os.O_RDONLY)
        folder = os.open(nodes, os.O_PATH)
        name = client.create_device(fd, folder, read_only=True, sector_size=4096)
        os.close(fd)
        os.close(folder)
        assert Path("/sys/block", name, "ro").read_text() == "1\n"
        assert Path("/sys/block", name, "queue/logical_block_size").read_text() == "4096\n"
        with pytest.raises(PermissionError):
            (nodes / name).write_bytes(bytes(4096))


def test_what_cannot_be_done_is_told(tmp_path: Path, nodes: Path, sdk: Callable[[str], Any]) -> None:
    with RemoteLoopServer(tmp_path / "socket"):
        with sdk("remoteloop").LoopClient(tmp_path / "socket") as client:
            folder = os.open(nodes, os.O_PATH)
            with pytest.raises(RuntimeError, match="Error"):
                client.create_device(folder, folder)
            os.close(folder)
        with Socket.connect(tmp_path / "socket") as sock:
            sock.send({"fd": 0, "dir_fd": 1})
            packet = sock.recv()
            assert packet is not None
            assert packet[0]["type"] == "exception"
            assert packet[0]["data"]["name"] == "ProtocolError"
