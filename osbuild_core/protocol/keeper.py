"""What a session of a job and its keeper say to each other.

Two seqpacket sockets. Over one the session asks and the keeper replies, in JSON; what is too long for a packet
travels in a memfd, as the last descriptor of a packet that says so. Over the other the keeper tells what has ended,
in numbers.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

PACKET_MAX = 1 << 16
EVENT_MAX = 100
FDS_MAX = 4
LARGE = b"memfd"

MARKER = "OSBUILD_JOB_ACTION"
"""Variable in the environment of every process of an action: whose it is, when its parents have gone."""


class StartRequest(NamedTuple):
    """Start ``argv``; what it prints comes out of the descriptor that the reply brings along.

    ``changes`` of the environment that the keeper was given in the beginning (None: take the variable away).
    ``user`` is (uid, gid, groups) to become, None to stay. Where ``keep`` is set, processes that the command
    leaves behind live until a request releases ``number``; ``release`` are such numbers, for the time when this
    command has ended. Signals are for what is ``depth`` generations below: inside of a sandbox, say.
    Where the keeper may not signal what it starts, ``ender`` does that: a command that gets the name of the signal
    and an expression for marks. ``argv`` then gets the mark as its last word, since its environment is taken away.
    """

    number: int
    argv: Sequence[str]
    changes: Mapping[str, str | None]
    cwd: str
    user: tuple[int, int, Sequence[int]] | None = None
    keep: bool = False
    release: Sequence[int] = ()
    depth: int = 0
    ender: Sequence[str] = ()


class Started(NamedTuple):
    """Reply: the command runs, or it could not be started: ``error`` is an errno, ``path`` what it is about."""

    pid: int = 0
    error: int = 0
    path: str = ""


class Ended(NamedTuple):
    """An action has ended; ``status`` is negative for a signal. ``left``: something of it could not be killed."""

    number: int
    status: int
    left: bool = False


def send(to: socket.socket, document: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
    """Send one message. Raises OSError."""
    data = json.dumps(document).encode()
    if len(data) <= PACKET_MAX:
        if fds:
            socket.send_fds(to, [data], list(fds))
        else:
            to.send(data)
        return
    large = os.memfd_create("job", os.MFD_CLOEXEC)
    try:
        with open(large, "wb", closefd=False) as file:
            file.write(data)
        socket.send_fds(to, [LARGE], [*fds, large])
    finally:
        os.close(large)


def send_event(to: socket.socket, event: Ended) -> None:
    """Tell what has ended. Raises OSError."""
    to.send(b"%d %d %d" % event)


def receive_event(source: socket.socket) -> Ended | None:
    """Return what has ended, None at the end of the stream."""
    try:
        data = source.recv(EVENT_MAX)
    except OSError:
        return None
    if not data:
        return None
    number, status, left = data.split()
    return Ended(int(number), int(status), left == b"1")


def receive(source: socket.socket) -> tuple[Any, list[int]] | None:
    """Return one message and its descriptors, None at the end of the stream. Raises OSError."""
    data, fds, _, _ = socket.recv_fds(source, PACKET_MAX, FDS_MAX, socket.MSG_CMSG_CLOEXEC)
    if not data:
        return None
    if data == LARGE:
        with open(fds.pop(), "rb") as file:
            file.seek(0)
            data = file.read()
    return json.loads(data), fds
