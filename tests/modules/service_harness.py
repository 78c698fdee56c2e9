"""Runs the executable of a host service as the engine does, and talks to it over its socket."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from osbuild_core.protocol.jsoncomm import Socket
from osbuild_core.protocol.service import ServiceClient

ROOT = Path(__file__).resolve().parents[2]
SDK = ROOT / "osbuild_core" / "sdk"


@dataclass
class Running:
    """A service that runs: its socket and its process."""

    client: ServiceClient
    process: subprocess.Popen[str]

    def call(self, name: str, args: object, **options: object) -> object:
        reply, fds = self.client.call(name, args, **options)  # type: ignore[arg-type]
        fds.close()
        return reply

    def seen(self, path: Path) -> Path:
        """Return ``path`` as the service's mount namespace has it."""
        return Path(f"/proc/{self.process.pid}/root{path}")


@contextmanager
def running(
    kind: str, name: str, *, environment: Mapping[str, str] | None = None, namespace: bool = False
) -> Iterator[Running]:
    """Run ``KIND/org.osbuild.NAME``; leaving closes its socket and expects it to end well.

    With ``namespace`` it has a mount namespace of its own.
    """
    ours, theirs = Socket.pair()
    ours.settimeout(60)
    module = str(ROOT / kind / f"org.osbuild.{name}")
    fd = theirs.fileno()
    own = ["unshare", "--mount", "--propagation", "private"] if namespace else []
    with theirs:
        process = subprocess.Popen(
            [*own, module, "--service-id", f"{kind[:-1]}/{name}", "--service-fd", str(fd)],
            pass_fds=[fd],
            env={**os.environ, "PYTHONPATH": str(SDK), "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        with ServiceClient(ours) as client:
            yield Running(client, process)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, output) == (0, "")
