"""A RabbitMQ of our own: the real one, in a directory of its own, on ports of loopback that were free."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_BOUND = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"),
)
"""What a command begins with that ends with us, and all its processes with it: Erlang starts one that would stay."""
PATIENCE = 90.0


class UnavailableError(Exception):
    """It cannot be had here; the text says why."""


class Broker:
    """A broker that can be killed and started again at the same address."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port, self._between, self._names = free_ports(3)
        self._server: subprocess.Popen[bytes] | None = None
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}//"

    def begin(self) -> None:
        """Start it; :meth:`wait` says when it is there."""
        environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("RABBITMQ_", "ERL_"))
            },
            "HOME": str(self._directory),
            "RABBITMQ_NODENAME": f"test{self._port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(self._between),
            "RABBITMQ_MNESIA_BASE": str(self._directory / "data"),
            "RABBITMQ_LOG_BASE": str(self._directory / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._directory / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self._directory / "rabbitmq"),
            # One scheduler that does not spin: other tests run beside it.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"
            " -kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(self._names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        for name in ("data", "log"):
            (self._directory / name).mkdir(exist_ok=True)
        (self._directory / "plugins").write_text("[].\n")
        with (self._directory / "out").open("a") as out:
            self._server = subprocess.Popen(
                [*_BOUND, str(PROGRAM)] if os.geteuid() == 0 else [str(PROGRAM)],
                env=environment,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Wait until it takes connections. Raises UnavailableError."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self._port), timeout=5) as probe:
                    probe.sendall(b"AMQP\x00\x00\x09\x01")
                    if probe.recv(1):
                        return
            except OSError:
                pass
            assert self._server is not None
            if self._server.poll() is not None or time.monotonic() > end:
                raise UnavailableError(
                    "RabbitMQ does not start: " + (self._directory / "out").read_text()[-500:]
                )
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill it at once, as a machine that fails does."""
        if self._server is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


@contextmanager
def running(*, wait: bool = True) -> Iterator[Broker]:
    """Run a broker, which takes some seconds to start: without ``wait`` it is for who asks to wait for it.

    Raises UnavailableError.
    """
    if not PROGRAM.exists():
        raise UnavailableError("RabbitMQ is not installed")
    directory = Path(tempfile.mkdtemp(prefix="osbuild-core-mq-", dir="/var/tmp"))
    broker = Broker(directory)
    try:
        broker.begin()
        if wait:
            broker.wait()
        yield broker
    finally:
        broker.kill()
        shutil.rmtree(directory, ignore_errors=True)
