"""JSON over local seqpacket sockets: one document per packet, file descriptors beside it.

A document that the socket does not take in one packet travels in a memory file: the packet is then
``<args-via-fd>`` and that file is its first descriptor.
"""

from __future__ import annotations

import array
import errno
import json
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from osbuild_core.model.errors import ServiceError

VIA_FD = b"<args-via-fd>"
MAX_FDS = 253
"""The kernel's limit of descriptors per packet."""

# A packet is one piece of kernel memory; above this the detour through a memory file is cheaper.
_MAX_PACKET = 128 * 1024


class ProtocolError(ServiceError):
    """The other side sent what the protocol does not know, or has gone away."""

    code = "service.protocol"


class FdSet:
    """File descriptors that came with a message. They are closed with the set, but for those taken out."""

    def __init__(self, fds: Sequence[int] = ()) -> None:
        self._fds: list[int | None] = list(fds)

    def __len__(self) -> int:
        return len(self._fds)

    def __iter__(self) -> Iterator[int]:
        return (self[index] for index in range(len(self._fds)))

    def __getitem__(self, index: int) -> int:
        """Return the descriptor, which stays in the set. Raises IndexError where there is none."""
        fd = self._fds[index]
        if fd is None:
            raise IndexError(f"descriptor {index} was taken already")
        return fd

    def take(self, index: int) -> int:
        """Return the descriptor and leave closing it to the caller."""
        fd = self[index]
        self._fds[index] = None
        return fd

    def close(self) -> None:
        for fd in self._fds:
            if fd is not None:
                os.close(fd)
        self._fds = []

    def __enter__(self) -> FdSet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Socket:
    """One end of a seqpacket connection, or a listening socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    @classmethod
    def pair(cls) -> tuple[Socket, Socket]:
        """Return two sockets that are connected with each other."""
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(one), cls(other)

    @classmethod
    def from_fd(cls, fd: int) -> Socket:
        """Return the socket with descriptor ``fd``, which it owns from now on."""
        return cls(socket.socket(fileno=fd))

    @classmethod
    def connect(cls, path: str | os.PathLike[str]) -> Socket:
        """Return a connection to the socket that listens at ``path``. Raises OSError."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with Address(path) as address:
                sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return cls(sock)

    @classmethod
    def listen(cls, path: str | os.PathLike[str], backlog: int = 64) -> Socket:
        """Return a socket that listens at ``path``, which must not exist yet. Raises OSError."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with Address(path) as address:
                sock.bind(address)
            sock.listen(backlog)
        except BaseException:
            sock.close()
            raise
        return cls(sock)

    def accept(self) -> Socket | None:
        """Return the next connection; None if the socket does not block and nobody waits."""
        try:
            sock, _ = self._sock.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return None
        return Socket(sock)

    def fileno(self) -> int:
        return self._sock.fileno()

    def settimeout(self, seconds: float | None) -> None:
        """Let ``send`` and ``recv`` raise TimeoutError after that time. None waits forever."""
        self._sock.settimeout(seconds)

    def send(self, payload: object, fds: Sequence[int] = ()) -> None:
        """Send one document and duplicates of ``fds``.

        Raises OSError where the other end is gone, TimeoutError, ValueError for more than 252 descriptors.
        """
        # A memory file may become necessary, and it needs a place of its own.
        if len(fds) >= MAX_FDS:
            raise ValueError(f"{len(fds)} file descriptors do not fit into a message")
        data = json.dumps(payload).encode()
        if len(data) <= _MAX_PACKET:
            try:
                self._send(data, fds)
                return
            except OSError as error:
                if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                    raise
        memory = os.memfd_create("message", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(memory), "wb") as file:
                file.write(data)
            os.lseek(memory, 0, os.SEEK_SET)
            self._send(VIA_FD, [memory, *fds])
        finally:
            os.close(memory)

    def _send(self, data: bytes, fds: Sequence[int]) -> None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self._sock.sendmsg([data], ancillary, socket.MSG_NOSIGNAL)

    def recv(self) -> tuple[Any, FdSet] | None:
        """Return the next document and its descriptors (close-on-exec); None when the other end is closed.

        Raises ProtocolError for what is no JSON, TimeoutError.
        """
        try:
            size = self._sock.recv_into(bytearray(1), 1, socket.MSG_PEEK | socket.MSG_TRUNC)
            data, ancillary, flags, _ = self._sock.recvmsg(
                max(size, 1), socket.CMSG_SPACE(MAX_FDS * 4), socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:
            return None
        fds = FdSet(_descriptors(ancillary))
        try:
            if not data:
                fds.close()
                return None
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise ProtocolError("a message arrived incomplete")
            if data == VIA_FD:
                data, fds = _from_memory(fds)
            return _decode(data), fds
        except BaseException:
            fds.close()
            raise

    def shutdown(self) -> None:
        """End the connection in both directions: whoever waits in ``recv`` here or there wakes up."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.EBADF):
                raise

    def close(self) -> None:
        self._sock.close()

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Address:
    """The address of a socket at ``path``. Longer paths than the kernel takes go by way of /proc.

    It is for this process, with ``for_others`` for any, and good as long as this context lasts.
    """

    def __init__(self, path: str | os.PathLike[str], *, for_others: bool = False) -> None:
        self._path = os.fspath(path)
        self._process = str(os.getpid()) if for_others else "self"
        self._fd: int | None = None

    def __enter__(self) -> str:
        if len(os.fsencode(self._path)) < 108:
            return self._path
        self._fd = os.open(os.path.dirname(self._path), os.O_PATH | os.O_CLOEXEC)
        return f"/proc/{self._process}/fd/{self._fd}/{os.path.basename(self._path)}"

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            os.close(self._fd)


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return fds.tolist()


def _from_memory(fds: FdSet) -> tuple[bytes, FdSet]:
    if not len(fds):
        raise ProtocolError("a message lacks the file that its text is in")
    rest = FdSet([fds.take(index) for index in range(1, len(fds))])
    try:
        with os.fdopen(fds.take(0), "rb") as file:
            file.seek(0)
            return file.read(), rest
    except BaseException:
        rest.close()
        raise


def _decode(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a message is no JSON: {error}") from error
