"""Loop devices for modules in the sandbox: the engine makes them, since a sandbox may not."""

import contextlib
import fcntl
import os

from osbuild.util import jsoncomm

SOCKET = "/run/osbuild/api/remoteloop"

_BLKFLSBUF = 0x1261


class LoopClient:
    """A connection to the engine's socket at the path ``connect_to``; devices live until the stage has ended."""

    def __init__(self, connect_to=SOCKET):
        self.client = jsoncomm.Socket.new_client(connect_to)

    def create_device(
        self,
        fd,
        dir_fd=None,
        offset=None,
        sizelimit=None,
        lock=False,
        partscan=False,
        read_only=False,
        sector_size=512,
    ):
        """Bind the file ``fd`` to a device, make its node in the directory ``dir_fd`` (/dev), return its name.

        ``offset``, ``sizelimit`` and ``sector_size`` are in bytes. Raises RuntimeError with the engine's reason.
        """
        request = {
            "fd": 0,
            "dir_fd": 1,
            "lock": lock,
            "partscan": partscan,
            "read_only": read_only,
            "sector_size": sector_size,
        }
        if offset:
            request["offset"] = offset
        if sizelimit:
            request["sizelimit"] = sizelimit
        own = os.open("/dev", os.O_DIRECTORY | os.O_CLOEXEC) if dir_fd is None else None
        try:
            folder = own if dir_fd is None else dir_fd
            answer, fds, _ = self.client.send_and_recv(request, fds=[fd, folder])
        finally:
            if own is not None:
                os.close(own)
        if answer is None:
            raise RuntimeError("the engine closed the connection")
        fds.close()
        if "devname" not in answer:
            raise RuntimeError(_reason(answer))
        return answer["devname"]

    @contextlib.contextmanager
    def device(
        self,
        filename,
        offset=None,
        sizelimit=None,
        lock=False,
        partscan=False,
        read_only=False,
        sector_size=512,
    ):
        """Give the file ``filename`` as a device; yields the path of its node, which is removed at the end.

        What was written to it is in the file by then.
        """
        flags = os.O_RDONLY if read_only else os.O_RDWR
        fd = os.open(filename, flags | os.O_CLOEXEC)
        try:
            name = self.create_device(fd, None, offset, sizelimit, lock, partscan, read_only, sector_size)
        finally:
            os.close(fd)
        path = os.path.join("/dev", name)
        try:
            yield path
            if not read_only:
                _flush(path)
        finally:
            os.unlink(path)

    def close(self):
        self.client.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _flush(path):
    # The engine keeps the device open, so the last one here to close it does not cause that.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _BLKFLSBUF)
    finally:
        os.close(fd)


def _reason(answer):
    data = answer.get("data")
    if isinstance(data, dict):
        return "{}: {}".format(data.get("name"), data.get("value"))
    return str(answer.get("error") or answer)
