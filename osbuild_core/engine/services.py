"""Host services: inputs, devices, mounts, sources and exports, each a process with one socket.

They are started by the spawner: Python modules of our library in a fork of the warm process, others by
their shebang. They end when their socket closes, after they have freed what they hold; the one started
last ends first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from osbuild_core.catalog.module import Module
from osbuild_core.engine.sdk import SDK, sdk_of
from osbuild_core.model.errors import ServiceError
from osbuild_core.protocol.jsoncomm import Socket
from osbuild_core.protocol.service import ServiceClient
from osbuild_core.sandbox.spawner import Process, Spawner

GRACE = 30.0
"""Seconds that a service gets to free what it holds."""


class Service:
    """One running service. ``label`` is what its output is shown under: ``input/packages (org.osbuild.files)``."""

    def __init__(self, label: str, client: ServiceClient, process: Process, output: int) -> None:
        self.label = label
        self.client = client
        self._process = process
        self._output = output
        self._shown = 0

    def printed(self) -> str:
        """Return what the service has printed since the last call, each line with the label before it."""
        data = os.pread(self._output, 1 << 24, self._shown)
        self._shown += len(data)
        lines = data.decode(errors="replace").splitlines()
        return "".join(f"{self.label}: {line}\n" for line in lines)

    def stop(self) -> None:
        """End the service and wait until it has freed what it holds.

        Raises ServiceError where it fails in that, or does not end.
        """
        try:
            self.client.close()
            status = self._process.wait(GRACE)
            if status is None:
                self._process.signal(9)
                self._process.wait()
                raise ServiceError(f"{self.label} did not end and was killed", code="service.stuck")
            if status != 0:
                raise ServiceError(
                    f"{self.label} ended with status {status}: {self.printed().strip() or 'no output'}",
                    code="service.exit",
                )
        finally:
            self._process.close()

    def close(self) -> None:
        os.close(self._output)


class Services:
    """The services of one stage, fetch or export: a context that ends them in reverse order.

    ``directory`` is for their output files; ``show`` gets what they print; ``namespace`` is the mount
    namespace that they live in.
    """

    def __init__(
        self,
        spawner: Spawner,
        directory: Path,
        *,
        show: Callable[[str], None],
        environment: Mapping[str, str] | None = None,
        namespace: int | None = None,
    ) -> None:
        self._spawner = spawner
        self._directory = directory
        self._show = show
        self._environment = environment or {}
        self._namespace = namespace
        self._running: list[Service] = []

    def start(self, module: Module, uid: str) -> Service:
        """Start ``module`` as the service ``uid`` (``input/packages``)."""
        ours, theirs = Socket.pair()
        number = len(self._running)
        output = os.open(
            self._directory / f"service-{number}",
            os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC,
            0o600,
        )
        own_sdk = sdk_of(module.path.parent.parent)
        environment = {**os.environ, **self._environment}
        environment["PYTHONPATH"] = str(own_sdk)
        environment["PYTHONUNBUFFERED"] = "1"
        with theirs:
            process = self._spawner.spawn(
                [str(module.path), "--service-id", uid, "--service-fd", "3"],
                env=environment,
                fds={1: output, 2: output, 3: theirs.fileno()},
                namespace=self._namespace,
                python=own_sdk == SDK and is_python(module.path),
                leashed=False,
            )
        service = Service(f"{uid} ({module.name})", ServiceClient(ours), process, output)
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

        Raises ServiceError where it fails.
        """
        try:
            reply, fds = service.client.call(method, arguments, on_signal=on_signal)
        except ServiceError as error:
            self._show(service.printed())
            raise ServiceError(
                f"{service.label}: {error.detail}",
                code=error.code,
                hint=error.hint,
                retryable=error.retryable,
            ) from error
        fds.close()
        self._show(service.printed())
        return reply

    def cancel(self) -> None:
        """Make every service end soon; may be called from another thread."""
        for service in self._running:
            service.client.stop()

    def stop(self) -> None:
        """End all services, the last one first. Raises the first ServiceError after all have ended."""
        first: ServiceError | None = None
        while self._running:
            service = self._running.pop()
            try:
                service.stop()
            except ServiceError as error:
                first = first or error
            finally:
                self._show(service.printed())
                service.close()
        if first is not None:
            raise first

    def __enter__(self) -> Services:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except ServiceError:
            if error is None:
                raise


def is_python(path: Path) -> bool:
    """Tell whether the shebang of ``path`` names a Python interpreter."""
    with path.open("rb") as file:
        line = file.readline(256)
    return line.startswith(b"#!") and b"python3" in line
