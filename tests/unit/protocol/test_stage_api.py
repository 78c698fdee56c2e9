import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.protocol.jsoncomm import ProtocolError, Socket
from osbuild_core.protocol.stage_api import (
    ExceptionSocket,
    StageException,
    arguments,
    exception_message,
    parse_exception,
)


def test_arguments_have_the_form_that_stages_read() -> None:
    document = arguments(
        {"a": 1}, id="0" * 64, source_epoch=7, inputs={"tree": {"path": "/run/osbuild/inputs/tree"}}
    )
    assert document == {
        "tree": "/run/osbuild/tree",
        "paths": {"devices": "/dev", "inputs": "/run/osbuild/inputs", "mounts": "/run/osbuild/mounts"},
        "devices": {},
        "inputs": {"tree": {"path": "/run/osbuild/inputs/tree"}},
        "mounts": {},
        "options": {"a": 1},
        "meta": {"id": "0" * 64, "source-epoch": 7},
    }
    assert "source-epoch" not in arguments({}, id="0")["meta"]


def test_an_exception_is_read_back() -> None:
    found = parse_exception(exception_message("ValueError", "text", "trace"))
    assert found == StageException("ValueError", "text", "trace")
    assert found.as_data() == {"type": "ValueError", "value": "text", "traceback": "trace"}


@pytest.mark.parametrize(
    "message", [None, [], {}, {"method": "metadata"}, {"method": "exception", "exception": 1}]
)
def test_other_messages_are_refused(message: object) -> None:
    with pytest.raises(ProtocolError):
        parse_exception(message)


def test_the_exception_of_a_process_that_has_ended_is_collected(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import osbuild.api\n"
        "with osbuild.api.exception_handler(sys.argv[2]):\n"
        "    raise KeyError('x' * int(sys.argv[3]))\n"
    )
    sdk = Path(__file__).resolve().parents[3] / "osbuild_core" / "sdk"
    for length in (3, 1_000_000):
        with ExceptionSocket(tmp_path / "api") as api:
            assert api.collect() is None
            ended = subprocess.run(
                [sys.executable, "-c", script, sdk, tmp_path / "api", str(length)],
                capture_output=True,
                text=True,
            )
            found = api.collect()
        assert ended.returncode == 2
        assert "KeyError" in ended.stderr
        assert found is not None
        assert (found.type, found.value) == ("KeyError", "'" + "x" * length + "'")
        assert "line 4" in found.traceback
    assert not (tmp_path / "api").exists()


def test_what_a_stage_says_does_no_harm(tmp_path: Path, sdk: Callable[[str], Any]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with ExceptionSocket(tmp_path / "api") as api:
        for data in (b"{", b'{"method": "other"}', b"[1]"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as raw:
                raw.connect(str(tmp_path / "api"))
                raw.send(data)
        silent = Socket.connect(tmp_path / "api")
        assert api.collect() is None
        for value in ("one", "two"):
            with Socket.connect(tmp_path / "api") as sock:
                sock.send({"noise": 1}, [0])
                sock.send(exception_message("E", value, ""))
        found = api.collect()
        assert found is not None and found.value == "two"
        silent.close()
    assert len(os.listdir("/proc/self/fd")) == before
