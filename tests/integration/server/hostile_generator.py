"""Stands for a process that was taken over by what it reads: does what the last part of the source says.

``look`` tries all that it could want (``wanted.json`` beside the composes says where things are) and fails with what
it got as JSON. ``stay`` leaves a daemon and is done, ``hold`` leaves one and does not end. ``memory``, ``processes``,
``users`` and ``file`` are too much of that.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.generate import Place, Result, remove
from osbuild_core.exports.compose.request import ComposeRequest
from tests.integration.server import plain_generator
from tests.integration.server.plain_generator import tag_changed

__all__ = ["generate", "remove", "resolve", "tag_changed"]

libc = ctypes.CDLL(None, use_errno=True)


def resolve(request: ComposeRequest, settings: Any, log: Any = None) -> ComposeRequest:
    return plain_generator.resolve(request, settings, log)


def generate(request: ComposeRequest, place: Place, settings: Any, **rest: Any) -> Result:
    what = request.source.rpartition("/")[2]
    place.directory.mkdir(parents=True, exist_ok=True)
    match what:
        case "look":
            wanted = json.loads(Path(place.target_dir.parent, "wanted.json").read_text())
            raise ComposeError(json.dumps(look(wanted, place)), code="compose.source")
        case "stay" | "hold":
            daemon(place.directory / "daemon")
            if what == "hold":
                time.sleep(60)
        case "memory":
            taken = []
            while True:
                taken.append(b"x" * (16 << 20))
                time.sleep(0.02)
        case "processes":
            while True:
                if os.fork() == 0:
                    time.sleep(60)
        case "users":
            # The kernel counts each user for itself.
            for user in range(1, 100):
                if os.fork() == 0:
                    os.setresuid(user, user, user)
                    for _ in range(20):
                        if os.fork() == 0:
                            break
                    time.sleep(60)
            time.sleep(60)
        case "file":
            with Path(place.directory, "large").open("wb") as file:
                file.write(b"x" * (2 << 20))
    return plain_generator.generate(request, place, settings, **rest)


def daemon(note: Path) -> None:
    """Leave a process that nobody waits for and no signal of ours ends; it writes on and on."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            libc.prctl(1, 0, 0, 0, 0)
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            for end in range(256):
                if end != 2:
                    try:
                        os.close(end)
                    except OSError:
                        continue
            while True:
                note.write_text(str(time.time()))
                time.sleep(0.02)
        os._exit(0)
    while not note.exists():
        time.sleep(0.01)


def look(wanted: dict[str, Any], place: Place) -> dict[str, str]:
    """Return what came of each attempt: what was got, or the error."""
    port, name = wanted["port"], wanted["socket"]
    gate = os.environ.get("http_proxy", "").rpartition(":")[2]
    attempts: dict[str, Callable[[], Any]] = {
        "loopback": lambda: connected(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port)),
        "loopback 6": lambda: connected(socket.AF_INET6, socket.SOCK_STREAM, ("::1", port)),
        "own address": lambda: connected(socket.AF_INET, socket.SOCK_STREAM, (wanted["address"], port)),
        "internet": lambda: connected(socket.AF_INET, socket.SOCK_DGRAM, ("8.8.8.8", 53)),
        "gate GET": lambda: through(gate, f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n"),
        "gate CONNECT": lambda: through(gate, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n"),
        "gate localhost": lambda: through(gate, f"CONNECT localhost:{port} HTTP/1.1\r\n\r\n"),
        "unix": lambda: connected(socket.AF_UNIX, socket.SOCK_STREAM, name),
        "unix datagram": lambda: connected(socket.AF_UNIX, socket.SOCK_DGRAM, name + ".datagram"),
        "unix pair": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].connect(
            name + ".datagram"
        ),
        "unix packet": lambda: connected(socket.AF_UNIX, socket.SOCK_SEQPACKET, name + ".packet"),
        "abstract": lambda: connected(socket.AF_UNIX, socket.SOCK_SEQPACKET, wanted["abstract"]),
        "vsock": lambda: socket.socket(40, socket.SOCK_STREAM).close(),
        "keys": lambda: called(250, 0, -3, 1),
        "io_uring": lambda: called(425, 8, 0),
        "kill init": lambda: os.kill(1, signal.SIGKILL),
        "kill worker": lambda: os.kill(wanted["worker"], signal.SIGKILL),
        "trace": lambda: traced(1),
        "environment": lambda: Path("/proc/1/environ").read_bytes(),
        "processes": lambda: foreign(wanted["worker"]),
        "secret variable": [v for v in os.environ.values() if wanted["secret"] in v].pop,
        "settings": lambda: Path(wanted["settings"]).read_text(),
        "database": lambda: Path(wanted["database"]).read_bytes(),
        "shadow": lambda: Path("/etc/shadow").read_text(),
        "builds": lambda: os.listdir(wanted["builds"])[0],
        "store": lambda: os.listdir(wanted["store"])[0],
        "run": lambda: os.listdir("/run")[0],
        "homes": lambda: os.listdir("/home")[0],
        "logs": lambda: Path("/var/log").stat(),
        "a file for everyone": lambda: Path(wanted["public"]).read_text(),
        "what is below": lambda: unmounted("/run"),
        "disk": lambda: os.listdir("/dev/disk")[0],
        "other compose": lambda: Path(wanted["other"]).write_text("mine"),
        "beside": lambda: Path(place.target_dir, "odcs-999").mkdir(),
        "sysctl": lambda: Path("/proc/sys/kernel/core_pattern").write_text("|/bin/false"),
        "network of the machine": lambda: entered(wanted["worker"]),
        "device": lambda: os.mknod(place.directory / "disk", 0o60600, os.makedev(8, 0)),
    }
    found = {}
    for what, attempt in attempts.items():
        try:
            found[what] = f"GOT {str(attempt())[:60]}"
        except (OSError, LookupError) as error:
            found[what] = f"{type(error).__name__} {getattr(error, 'strerror', None) or error}"[:60]
    return found


def connected(family: int, kind: int, address: Any) -> str:
    with socket.socket(family, kind) as one:
        one.settimeout(5)
        one.connect(address)
        one.send(b"x")
    return "connected"


def through(port: str, head: str) -> str:
    """Return the answer of the gate, as an error where it is a refusal."""
    with socket.create_connection(("127.0.0.1", int(port or 1)), timeout=10) as one:
        one.sendall(head.encode())
        answer = one.recv(100).decode().partition("\r\n")[0]
    if " 403 " in answer:
        raise PermissionError(answer)
    return answer


def called(number: int, *arguments: int) -> int:
    result: int = libc.syscall(
        ctypes.c_long(number), *map(ctypes.c_long, arguments), ctypes.create_string_buffer(128)
    )
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def traced(pid: int) -> None:
    # PTRACE_SEIZE
    if libc.ptrace(0x4206, pid, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def unmounted(path: str) -> None:
    if libc.umount2(path.encode(), 2) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def foreign(worker: int) -> str:
    return Path(f"/proc/{worker}/cmdline").read_text()


def entered(pid: int) -> None:
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if libc.setns(descriptor, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
