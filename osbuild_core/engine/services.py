"""Host services: inputs, devices, mounts, sources and exports, each a process with one socket.

They are started by the spawner: Python modules of our library in a fork of the warm process, others by
their shebang. They end when their socket closes, after they have freed what they hold; the one started
last ends first.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from osbuild_core.catalog.module import Module
from osbuild_core.engine.cancel import Cancel
from osbuild_core.engine.sdk import SDK, is_ours, sdk_for
from osbuild_core.model.errors import Cancelled, OsbuildError, ServiceError
from osbuild_core.model.errors import Path as Place
from osbuild_core.protocol.jsoncomm import Socket
from osbuild_core.protocol.service import RemoteError, ServiceClient
from osbuild_core.sandbox.spawner import Process, Spawner

GRACE = 30.0
"""Seconds that a service gets to free what it holds."""

STUCK_GRACE = 2.0
"""Seconds for one that was cancelled in the middle of a method, which it may be stuck in."""

CHUNK = 1 << 20

BROKEN = "this is a mistake in the module"
_HINTS = {
    "service.failed": "look at its options, and at what it was given",
    "service.gone": "its output may say why",
    "service.protocol": BROKEN,
}
"""What to do about the errors of services, by their codes."""


class Service:
    """One running service. ``label`` is what its output is shown under: ``input/packages (org.osbuild.files)``;
    ``place`` is where in the manifest it is."""

    def __init__(
        self, label: str, place: Place, client: ServiceClient, process: Process, output: int
    ) -> None:
        self.label = label
        self.place = place
        self.client = client
        self.grace = GRACE
        self._process = process
        self._output = output
        self._shown = 0

    def printed(self, *, ended: bool = False) -> Iterator[str]:
        """Yield what the service has printed since the last call, each line with the label before it.

        The beginning of a line waits for its end, or for the service to have ``ended``.
        """
        while data := os.pread(self._output, CHUNK, self._shown):
            if len(data) == CHUNK or not ended:
                data = data[: data.rfind(b"\n") + 1] or (data if len(data) == CHUNK else b"")
            if not data:
                return
            self._shown += len(data)
            lines = data.decode(errors="replace").splitlines()
            yield "".join(f"{self.label}: {line}\n" for line in lines)

    def last_line(self) -> str:
        """Return the last line that the service has printed, empty where there is none."""
        size = os.fstat(self._output).st_size
        lines = os.pread(self._output, 4096, max(0, size - 4096)).decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def stop(self) -> None:
        """End the service and wait until it has freed what it holds.

        Raises ServiceError where it fails in that, or does not end, SandboxError where the spawner has gone.
        """
        try:
            self.client.close()
            status = self._process.wait(self.grace)
            if status is None:
                self._process.signal(9)
                self._process.wait()
                raise ServiceError(
                    f"{self.label} did not end and was killed",
                    code="service.stuck",
                    hint=BROKEN,
                    place=self.place,
                )
            if status != 0:
                raise ServiceError(
                    f"{self.label} ended with status {status}: {self.last_line() or 'no output'}",
                    code="service.exit",
                    hint="it could not free what it held; its output may say why",
                    place=self.place,
                )
        finally:
            self._process.close()

    def close(self) -> None:
        os.close(self._output)


class Services:
    """The services of one stage, fetch or export: a context that ends them in reverse order.

    ``directory`` is for their output files; ``show`` gets what they print; ``cancel`` ends a call that is
    waiting for its reply; ``namespace`` is the mount namespace that they live in.
    """

    def __init__(
        self,
        spawner: Spawner,
        directory: Path,
        *,
        show: Callable[[str], None],
        cancel: Cancel,
        environment: Mapping[str, str] | None = None,
        namespace: int | None = None,
    ) -> None:
        self._spawner = spawner
        self._directory = directory
        self._show = show
        self._cancel = cancel
        self._environment = environment or {}
        self._namespace = namespace
        self._running: list[Service] = []

    def start(self, module: Module, uid: str, place: Place = ()) -> Service:
        """Start ``module`` as the service ``uid`` (``input/packages``), which ``place`` of the manifest asks for."""
        sdk = sdk_for(module)
        environment = {**os.environ, **self._environment}
        environment["PYTHONPATH"] = str(sdk)
        environment["PYTHONUNBUFFERED"] = "1"
        # Not those of others: what they import may be there for the machine's own Python only.
        python = sdk == SDK and is_python(module.path) and is_ours(module)
        with contextlib.ExitStack() as undo:
            output = os.open(
                self._directory / f"service-{len(self._running)}",
                os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC,
                0o600,
            )
            undo.callback(os.close, output)
            ours, theirs = Socket.pair()
            undo.enter_context(ours)
            with theirs:
                process = self._spawner.spawn(
                    [str(module.path), "--service-id", uid, "--service-fd", "3"],
                    env=environment,
                    fds={1: output, 2: output, 3: theirs.fileno()},
                    namespace=self._namespace,
                    python=python,
                    leashed=False,
                )
            undo.pop_all()
        service = Service(f"{uid} ({module.name})", place, ServiceClient(ours), process, output)
        self._running.append(service)
        return service

    def call(
        self,
        service: Service,
        method: str,
        arguments: Mapping[str, Any],
        on_signal: Callable[[Any], None] | None = None,
    ) -> Any:
        """Call a method of ``service`` and return its reply.

        Raises ServiceError where it fails, Cancelled when the run is cancelled meanwhile.
        """
        try:
            with self._cancel.stopping(service.client.stop):
                reply, fds = service.client.call(method, arguments, on_signal=on_signal)
        except ServiceError as error:
            self._show_output(service)
            if self._cancel.is_set():
                service.grace = STUCK_GRACE
                raise Cancelled("cancelled") from error
            if isinstance(error, RemoteError) and "\n" in error.value.strip():
                # The error itself has room for its first line.
                self._show(f"{service.label}: {error.value.strip()}\n")
            last = service.last_line() if error.code == "service.gone" else None
            raise ServiceError(
                f"{service.label}: {error.detail}" + (f" ({last})" if last else ""),
                code=error.code,
                hint=error.hint or _HINTS.get(error.code),
                place=service.place,
                retryable=error.retryable,
            ) from error
        fds.close()
        self._show_output(service)
        return reply

    def _show_output(self, service: Service, *, ended: bool = False) -> None:
        for text in service.printed(ended=ended):
            self._show(text)

    def stop(self) -> None:
        """End all services, the last one first. Raises the first error after all have ended."""
        first: OsbuildError | OSError | None = None
        while self._running:
            service = self._running.pop()
            for step in (service.stop, partial(self._show_output, service, ended=True), service.close):
                try:
                    step()
                except (OsbuildError, OSError) as error:
                    first = first or error
        if first is not None:
            raise first

    def __enter__(self) -> Services:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except (OsbuildError, OSError):
            # What came first is why the stage failed.
            if error is None:
                raise


def is_python(path: Path) -> bool:
    """Tell whether the shebang of ``path`` names a Python interpreter."""
    with path.open("rb") as file:
        line = file.readline(256)
    return line.startswith(b"#!") and b"python3" in line


def reply_path(reply: Any, service: Service) -> str:
    """Return the path that ``service`` replied. Raises ServiceError where there is none."""
    if not isinstance(reply, dict) or not isinstance(reply.get("path"), str):
        raise ServiceError(
            f"{service.label} replied no path", code="service.protocol", hint=BROKEN, place=service.place
        )
    path: str = reply["path"]
    return path


def relative(path: str, directory: Path, service: Service) -> str:
    """Return ``path`` relative to ``directory``. Raises ServiceError where it is not inside."""
    inside = os.path.relpath(path, directory)
    if inside == ".." or inside.startswith("../"):
        raise ServiceError(
            f"{service.label} replied a path outside of its directory: {path}",
            code="service.protocol",
            hint=BROKEN,
            place=service.place,
        )
    return inside
