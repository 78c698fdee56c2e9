"""Runs one stage: its services, its sandbox, and what came of both."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osbuild_core.catalog.module import Module
from osbuild_core.engine.buildroot import BuildRoot, new_api
from osbuild_core.engine.failure import FAILURES, cancelled, failure_of
from osbuild_core.engine.services import BROKEN, Services, relative, reply_path
from osbuild_core.engine.trees import Trees
from osbuild_core.engine.writes import writes_tree_only
from osbuild_core.model.errors import Path as Place
from osbuild_core.model.errors import ServiceError
from osbuild_core.model.events import StageOutput
from osbuild_core.model.manifest import Device, Input, Mount, Stage
from osbuild_core.model.plan import PlannedStage
from osbuild_core.model.results import Failure, StageResult
from osbuild_core.protocol.jsoncomm import Address
from osbuild_core.protocol.remoteloop import RemoteLoopServer
from osbuild_core.protocol.stage_api import arguments
from osbuild_core.protocol.store_api import StoreServer
from osbuild_core.sandbox import mounts
from osbuild_core.sandbox.capabilities import granted
from osbuild_core.sandbox.run import TAIL, SandboxResult, run
from osbuild_core.sandbox.seccomp import free_sync
from osbuild_core.sandbox.spec import BIN, INPUTS, META, MOUNTS, TREE, Bind
from osbuild_core.store.work import Work

if TYPE_CHECKING:
    from osbuild_core.engine.context import Context


_LOG = "its output may say why"
_SILENT = "it printed nothing that would say why"

METADATA_MAX = 16 << 20
"""Bytes; it is held in memory, and in every object that stands on the stage."""


class StageRun:
    """One stage on the tree of ``work``. Use once: :meth:`run`."""

    def __init__(
        self,
        context: Context,
        planned: PlannedStage,
        root: BuildRoot,
        work: Work,
        trees: dict[str, str],
        epoch: int | None,
    ) -> None:
        self.context = context
        self.planned = planned
        self.root = root
        self.work = work
        # On the store's file system are only the inputs, since files of the store are linked into them, and
        # what services print, which may be much.
        self.scratch = work.directory / "scratch"
        self.frame = root.frame / f"stage-{planned.number}"
        self.epoch = epoch
        self._trees = trees
        self._outcome: SandboxResult | None = None
        self._metadata: Mapping[str, Any] | None = None
        self._log = work.log.open("ab", buffering=0)

    @property
    def stage(self) -> Stage:
        return self.planned.stage

    @property
    def capabilities(self) -> frozenset[str]:
        """What the stage has in its sandbox. Raises ModuleError where there is no such module."""
        module = self.context.module(self.stage.kind, self.stage.type)
        return granted(module.capabilities, module.withheld)

    @property
    def _served(self) -> bool:
        """Whether the stage has services; if not, nothing is mounted or linked for it."""
        return bool(self.stage.inputs or self.stage.devices or self.stage.mounts)

    @property
    def inputs(self) -> Path:
        """The directory that the sandbox sees as the inputs."""
        return (self.scratch if self.stage.inputs else self.frame) / "inputs"

    def show(self, text: str) -> None:
        """Pass on text that the stage printed."""
        if text:
            self.context.emit(StageOutput(self.planned.pipeline, self.planned.number, text))

    def note(self, text: str) -> None:
        """Take text from beside the sandbox (a service, the engine) into the log and pass it on."""
        self._log.write(text.encode())
        self.show(text)

    def run(self) -> StageResult:
        """Run the stage; everything that it started has ended and is unmounted when this returns."""
        started = time.monotonic()
        error = None
        try:
            with self._log, self._unmounting():
                module = self.context.module(self.stage.kind, self.stage.type)
                self.root.check_interpreter(module)
                self._run_with_services(module)
        except FAILURES as problem:
            error = failure_of(problem, "running the stage", self.stage.path)
        output = ""
        if self._outcome is not None:
            output = self._outcome.output
            # What goes wrong with services afterwards may be no more than a consequence.
            error = self._failure(self._outcome) or error
        if self.context.cancel.is_set() and error is not None:
            error = cancelled(self.stage.path)
        return StageResult(
            pipeline=self.planned.pipeline,
            number=self.planned.number,
            type=self.stage.type,
            id=self.stage.id,
            success=error is None,
            output=output or (self._log_tail() if error else ""),
            log=str(self.work.log),
            error=error,
            metadata=self._metadata,
            seconds=time.monotonic() - started,
        )

    def _log_tail(self) -> str:
        with self.work.log.open("rb") as log:
            log.seek(-min(TAIL, log.seek(0, os.SEEK_END)), os.SEEK_END)
            return log.read().decode(errors="replace")

    @contextlib.contextmanager
    def _unmounting(self) -> Iterator[None]:
        """Unmount what services left. Raises ServiceError where that is in use, unless there is an error already."""
        if not self._served:
            yield
            return
        try:
            yield
        finally:
            busy = mounts.unmount_below(self.scratch) + mounts.unmount_below(self.frame)
        if busy:
            raise ServiceError(
                f"the mount {busy[0].name} of a service could not be unmounted",
                code="service.mount-left",
                hint="the service has left a process in it",
            )

    def _run_with_services(self, module: Module) -> None:
        api, dev = new_api(self.root, self.frame.name)
        if self._served:
            self.scratch.mkdir()
        (self.frame / "mounts").mkdir()
        self.inputs.mkdir()
        meta = self.frame / "meta"
        meta.touch()
        with (
            Trees(self.context, self._trees, self.scratch) as trees,
            self._store_api(trees) as store_api,
            Services(
                self.context.spawner,
                self.scratch,
                show=self.note,
                cancel=self.context.cancel,
                namespace=self.root.namespace,
            ) as services,
        ):
            inputs = {i.name: self._map_input(services, i, store_api) for i in self.stage.inputs}
            devices = self._open_devices(services, dev)
            shown_mounts = self._mount_all(services, devices, dev)
            document = arguments(
                self.stage.options,
                id=self.stage.id,
                source_epoch=self.epoch,
                inputs=inputs,
                devices={name: {**d, "path": f"/dev/{d['path']}"} for name, d in devices.items()},
                mounts=shown_mounts,
            )
            (api / "arguments").write_text(json.dumps(document))
            with RemoteLoopServer(api / "remoteloop"):
                self._outcome = self._sandbox(module, api, dev, meta)
            if self._outcome.returncode == 0:
                self._metadata = read_metadata(meta)

    @contextlib.contextmanager
    def _store_api(self, trees: Trees) -> Iterator[str]:
        """Serve the store to the input services, if there are any."""
        if not self.stage.inputs:
            yield ""
            return
        path = self.frame / "store"
        # Services that are not ours connect to it as it is.
        with StoreServer(path, trees), Address(path, for_others=True) as address:
            yield address

    def _sandbox(self, module: Module, api: Path, dev: Path, meta: Path) -> SandboxResult:
        command, extra = self.root.command(self.stage.type)
        binds = (
            Bind(str(self.work.tree), TREE, "rw"),
            Bind(str(meta), META, "rw"),
            Bind(str(self.frame / "mounts"), MOUNTS, "rw"),
            Bind(str(self.inputs), INPUTS),
            Bind(str(module.path), f"{BIN}/{self.stage.type}"),
            *self.root.sdk_bind(module),
            *extra,
        )
        assert self.root.state is not None
        etc, var = self.root.state.fresh()
        spec = self.root.spec(
            command,
            api=api,
            dev=dev,
            etc=etc,
            var=var,
            binds=binds,
            capabilities=self.capabilities,
            source_epoch=self.epoch,
            timeout=self.context.settings.stage_timeout,
            # An overlay makes fsync(2) free, but a directory does not, and sync(2) is about the whole machine.
            seccomp=free_sync() if writes_tree_only(self.stage) else None,
        )
        pause = self.context.settings.pause
        if pause is not None and pause.at(self.stage):
            from osbuild_core.engine.pause import open_shell

            open_shell(self.context, spec, self.root.namespace, pause.output)
        return run(
            self.context.spawner,
            spec,
            api=api,
            log=self._log,
            show=self.show,
            namespace=self.root.namespace,
            cancel=self.context.cancel.fileno(),
        )

    def _map_input(self, services: Services, item: Input, store_api: str) -> dict[str, Any]:
        module = self.context.module("inputs", item.type)
        target = self.inputs / item.name
        target.mkdir(parents=True)
        service = services.start(module, f"input/{item.name}", self._place("inputs", item.name))
        reply = services.call(
            service,
            "map",
            {
                "origin": item.origin,
                "refs": dict(item.refs),
                "target": str(target),
                "options": dict(item.options),
                "api": {"store": store_api},
            },
        )
        inside = relative(reply_path(reply, service), self.inputs, service)
        return {**reply, "path": f"{INPUTS}/{inside}"}

    def _place(self, *below: str | int) -> Place:
        """Return where in the manifest a service of this stage is; one of version 1 does not name them."""
        path = self.stage.path
        return (*path, *below) if path[:1] == ("pipelines",) else path

    def _open_devices(self, services: Services, dev: Path) -> dict[str, dict[str, Any]]:
        """Open all devices, parents first; return replies with paths relative to ``dev``."""
        opened: dict[str, dict[str, Any]] = {}
        for device in self.stage.devices:
            opened[device.name] = self._open_device(services, device, dev, opened)
        return opened

    def _open_device(
        self, services: Services, device: Device, dev: Path, opened: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Any]:
        module = self.context.module("devices", device.type)
        service = services.start(module, f"device/{device.name}", self._place("devices", device.name))
        reply = services.call(
            service,
            "open",
            {
                "dev": str(dev),
                "tree": str(self.work.tree),
                "parent": opened[device.parent]["path"] if device.parent else None,
                "options": dict(device.options),
            },
        )
        path = reply_path(reply, service)
        return {**reply, "path": relative(str(dev / path), dev, service)}

    def _mount_all(
        self, services: Services, devices: Mapping[str, Mapping[str, Any]], dev: Path
    ) -> dict[str, dict[str, Any]]:
        return {
            mount.name: self._mount(services, mount, self._place("mounts", index), devices, dev)
            for index, mount in enumerate(self.stage.mounts)
        }

    def _mount(
        self,
        services: Services,
        mount: Mount,
        place: Place,
        devices: Mapping[str, Mapping[str, Any]],
        dev: Path,
    ) -> dict[str, Any]:
        module = self.context.module("mounts", mount.type)
        root = self.frame / "mounts"
        source = None
        if mount.source is not None:
            source = str(dev / devices[mount.source]["path"])
            if mount.partition:
                source += f"p{mount.partition}"
        service = services.start(module, f"mount/{mount.name}", place)
        reply = services.call(
            service,
            "mount",
            {
                "source": source,
                "target": mount.target,
                "root": str(root),
                "tree": str(self.work.tree),
                "options": dict(mount.options),
            },
        )
        if not reply:
            return {}
        inside = relative(str(root / reply), root, service)
        return {"path": MOUNTS if inside == "." else f"{MOUNTS}/{inside}"}

    def _failure(self, outcome: SandboxResult) -> Failure | None:
        """Return why the stage failed, None where it did not."""
        place = self.stage.path
        if outcome.cancelled:
            return cancelled(place)
        if outcome.timed_out:
            limit = self.context.settings.stage_timeout
            return Failure("stage.timeout", f"did not end within {limit:g} s", "raise --stage-timeout", place)
        if outcome.returncode == 0:
            return None
        data = outcome.exception.as_data() if outcome.exception else None
        if data is not None:
            value = data["value"].strip()
            detail = f"{data['type']}: {value.splitlines()[0]}" if value else data["type"]
            return Failure("stage.exception", detail, _LOG, place, data=data)
        log = _LOG if outcome.output.strip() else _SILENT
        number = ending_signal(outcome.returncode)
        if number is not None:
            hint = "was the machine out of memory?" if number == signal.SIGKILL else log
            return Failure("stage.killed", f"was ended by signal {number} ({number.name})", hint, place)
        return Failure("stage.exit", f"ended with status {outcome.returncode}", log, place)


def ending_signal(status: int) -> signal.Signals | None:
    """Return the signal that an exit status stands for, None for a status of the program's own.

    bubblewrap tells of a signal as shells do, by a status of 128 more.
    """
    try:
        return signal.Signals(-status if status < 0 else status - 128)
    except ValueError:
        return None


def read_metadata(path: Path) -> Mapping[str, Any] | None:
    """Return what the stage wrote as its metadata, None for nothing.

    Raises ServiceError where that is not JSON.
    """
    with path.open("rb") as file:
        text = file.read(METADATA_MAX + 1)
    if not text.strip():
        return None
    if len(text) > METADATA_MAX:
        raise ServiceError(
            f"the stage wrote more than {METADATA_MAX >> 20} MiB of metadata",
            code="stage.metadata",
            hint="write what is large into the tree",
        )
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ServiceError(
            f"the stage's metadata is not JSON: {error}", code="stage.metadata", hint=BROKEN
        ) from error
    return data if isinstance(data, dict) else {"value": data}
