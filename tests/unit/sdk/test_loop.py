"""Loop devices, as modules make and free them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.root


@pytest.fixture
def loop(sdk: Callable[[str], Any]) -> Any:
    return sdk("loop")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(bytes(range(256)) * 4096)
    return path


def test_a_device_is_bound_and_freed(image: Path, tmp_path: Path, loop: Any) -> None:
    (tmp_path / "other").write_bytes(bytes(512))
    closed = []
    with loop.LoopControl() as control, image.open("r+b") as file, (tmp_path / "other").open() as other:
        device = control.loop_for_fd(file.fileno(), offset=512, sizelimit=1024)
        device.on_close = lambda one: closed.append(one.minor)
        assert device.is_bound_to(file.fileno())
        assert not device.is_bound_to(other.fileno())
        assert device.get_status().is_bound_to(os.fstat(file.fileno()))
        device.flush_buf()
        device.clear_fd_wait(other.fileno(), 0)
        assert device.is_bound_to(file.fileno())
        with open(f"/dev/{device.devname}", "rb") as user:
            assert user.read(4) == b"\0\1\2\3"
            with pytest.raises(TimeoutError, match=device.devname):
                device.clear_fd_wait(file.fileno(), 0.05, wait=0.01)
        device.clear_fd_wait(file.fileno(), 30, wait=0.01)
        assert not device.is_bound_to(file.fileno())
        device.close()
        device.close()
    assert closed == [device.minor]


def test_a_bound_device_is_changed(image: Path, loop: Any) -> None:
    with loop.LoopControl() as control, image.open("r+b") as file:
        device = control.loop_for_fd(file.fileno())
        device.set_status(offset=512, sizelimit=1024, partscan=True)
        status = device.get_status()
        assert (status.lo_offset, status.lo_sizelimit, status.partscan) == (512, 1024, True)
        assert status.autoclear
        device.set_status(offset=0, autoclear=False)
        status = device.get_status()
        assert (status.lo_offset, status.lo_sizelimit, status.autoclear) == (0, 1024, False)
        device.set_status(autoclear=True)
        device.close()


def test_a_file_is_bound_in_two_steps(image: Path, loop: Any) -> None:
    with loop.LoopControl() as control, image.open("r+b") as file:
        while True:
            device = loop.Loop(control.get_unbound())
            try:
                device.set_fd(file.fileno())
                break
            except OSError:
                # Somebody else was faster.
                device.close()
        device.set_status(autoclear=True)
        assert device.is_bound_to(file.fileno())
        device.close()
        assert not Path(f"/sys/block/{device.devname}/loop/backing_file").exists()


def test_where_there_are_none(tmp_path: Path, loop: Any) -> None:
    folder = os.open(tmp_path, os.O_DIRECTORY)
    try:
        with pytest.raises(FileNotFoundError, match="there are no loop devices here: No such file"):
            loop.LoopControl(folder)
    finally:
        os.close(folder)
