"""JSON over local seqpacket sockets: one document per packet, file descriptors beside it.

The same wire as the engine's. A document that the socket does not take in one packet travels in a
memory file: the packet is then ``<args-via-fd>`` and that file is its first descriptor.
"""

import errno
import json
import os
import socket

VIA_FD = b"<args-via-fd>"
MAX_FDS = 253

_MAX_PACKET = 128 * 1024


class FdSet:
    """File descriptors that came with a message; closed with the set, but for those stolen."""

    def __init__(self, fds=()):
        self._fds = list(fds)

    def __len__(self):
        return len(self._fds)

    def __getitem__(self, index):
        fd = self._fds[index]
        if fd is None:
            raise IndexError("descriptor {} was taken already".format(index))
        return fd

    def steal(self, index):
        """Return the descriptor and leave closing it to the caller."""
        fd = self[index]
        self._fds[index] = None
        return fd

    def close(self):
        for fd in self._fds:
            if fd is not None:
                os.close(fd)
        self._fds = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Socket:
    """One end of a seqpacket connection."""

    def __init__(self, sock):
        self._sock = sock

    @classmethod
    def new_client(cls, connect_to):
        """Return a connection to the socket at the path ``connect_to``. Raises OSError."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        folder = None
        try:
            address = os.fspath(connect_to)
            if len(os.fsencode(address)) >= 108:
                # Longer than the kernel takes: go by way of the directory.
                folder = os.open(os.path.dirname(address), os.O_PATH)
                address = "/proc/self/fd/{}/{}".format(folder, os.path.basename(address))
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        finally:
            if folder is not None:
                os.close(folder)
        return cls(sock)

    @classmethod
    def new_pair(cls):
        """Return two sockets that are connected with each other."""
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(one), cls(other)

    @classmethod
    def new_from_fd(cls, fd):
        """Return the socket with descriptor ``fd``, which it owns from now on."""
        return cls(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fileno=fd))

    def fileno(self):
        return self._sock.fileno()

    def settimeout(self, seconds):
        """Let ``send`` and ``recv`` raise socket.timeout after that time. None waits forever."""
        self._sock.settimeout(seconds)

    def send(self, payload, fds=()):
        """Send one document and duplicates of ``fds``. Raises OSError where the other end is gone."""
        fds = list(fds)
        if len(fds) >= MAX_FDS:
            raise ValueError("{} file descriptors do not fit into a message".format(len(fds)))
        data = json.dumps(payload).encode()
        if len(data) <= _MAX_PACKET:
            try:
                self._send(data, fds)
                return
            except OSError as error:
                if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                    raise
        memory = _memory_file()
        try:
            with os.fdopen(os.dup(memory), "wb") as file:
                file.write(data)
            os.lseek(memory, 0, os.SEEK_SET)
            self._send(VIA_FD, [memory] + fds)
        finally:
            os.close(memory)

    def _send(self, data, fds):
        import array

        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self._sock.sendmsg([data], ancillary, socket.MSG_NOSIGNAL)

    def recv(self):
        """Return (document, FdSet, None); (None, None, None) when the other end is closed.

        Raises ValueError for what is no JSON or arrived incomplete.
        """
        try:
            size = self._sock.recv_into(bytearray(1), 1, socket.MSG_PEEK | socket.MSG_TRUNC)
            data, ancillary, flags, _ = self._sock.recvmsg(
                max(size, 1), socket.CMSG_SPACE(MAX_FDS * 4), socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:
            return None, None, None
        fds = FdSet(_descriptors(ancillary))
        try:
            if not data:
                fds.close()
                return None, None, None
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                raise ValueError("a message arrived incomplete")
            if data == VIA_FD:
                rest = FdSet([fds.steal(index) for index in range(1, len(fds))])
                with os.fdopen(fds.steal(0), "rb") as file:
                    fds = rest
                    file.seek(0)
                    data = file.read()
            return json.loads(data.decode()), fds, None
        except BaseException:
            fds.close()
            raise

    def send_and_recv(self, payload, fds=()):
        """Send a request and return what :meth:`recv` gives for the answer."""
        self.send(payload, fds=fds)
        return self.recv()

    def close(self):
        self._sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _memory_file():
    import tempfile

    # os.memfd_create came with Python 3.8; a file without a name does the same.
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _descriptors(ancillary):
    import array

    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return fds.tolist()
