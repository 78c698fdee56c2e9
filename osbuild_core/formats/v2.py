"""Version 2 of the manifest format: a flat list of named pipelines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from osbuild_core.formats.references import Pipelines
from osbuild_core.formats.validation import validate_2
from osbuild_core.model import ids
from osbuild_core.model.errors import Issue, ManifestError, Path
from osbuild_core.model.manifest import (
    ORIGIN_PIPELINE,
    Device,
    Export,
    Input,
    Manifest,
    Mount,
    Pipeline,
    Source,
    Stage,
)

if TYPE_CHECKING:
    from osbuild_core.catalog import Library

Document = Mapping[str, Any]

EPOCH_LIMIT = 1 << 63
"""Seconds are counted in 64 bits."""


def load(document: Document, library: Library, *, strict: bool = False) -> Manifest:
    """Return the manifest in ``document``; see :func:`osbuild_core.formats.load`."""
    issues = validate_2(document, library, strict=strict)
    if issues:
        raise ManifestError(issues)
    loader = _Loader(document)
    pipelines = [
        loader.pipeline(item, ("pipelines", index))
        for index, item in enumerate(document.get("pipelines", ()))
    ]
    sources = [_source(type_, item) for type_, item in document.get("sources", {}).items()]
    exports = [loader.export(name, item) for name, item in document.get("exports", {}).items()]
    if loader.issues:
        raise ManifestError(loader.issues)
    return Manifest("2", tuple(pipelines), tuple(sources), tuple(exports), document.get("metadata"))


def _source(type_: str, item: Document) -> Source:
    items = item["items"] if isinstance(item["items"], dict) else dict(_pairs(item["items"]))
    return Source(type_, items, item.get("options") or {}, ids.source_id(type_, items), ("sources", type_))


def _pairs(references: Any) -> Iterable[tuple[str, Any]]:
    """Yield (reference, its options) from any of the three forms in which a manifest lists them."""
    if isinstance(references, dict):
        for ref, options in references.items():
            yield ref, options or {}
        return
    for ref in references:
        if isinstance(ref, str):
            yield ref, {}
        else:
            yield ref["id"], ref.get("options") or {}


class _Loader:
    """Turns the parts of one valid document into model types; what is wrong ends up in ``issues``."""

    def __init__(self, document: Document) -> None:
        self.issues: list[Issue] = []
        self._pipelines = Pipelines(document.get("pipelines", ()), self.issues)

    def pipeline(self, item: Document, path: Path) -> Pipeline:
        name = item["name"]
        self._pipelines.begin(name, path)
        base = build = None
        if item.get("build"):
            build = self._pipelines.resolve(item["build"], (*path, "build"))
        epoch = item.get("source-epoch")
        if epoch is not None and not -EPOCH_LIMIT <= epoch < EPOCH_LIMIT:
            place = (*path, "source-epoch")
            message, hint = "no file can have a time like this", "write seconds since 1970"
            self.issues.append(Issue(message, place, "manifest.source-epoch", hint))
        stages = []
        for index, description in enumerate(item.get("stages", ())):
            stage = self._stage(
                description, build.id if build else None, base, epoch, (*path, "stages", index)
            )
            stages.append(stage)
            base = stage.id
        pipeline = Pipeline(
            name,
            tuple(stages),
            build.name if build else None,
            build.declares if build else None,
            epoch,
            path,
            item.get("runner"),
        )
        self._pipelines.add(pipeline)
        return pipeline

    def _stage(
        self, item: Document, build: str | None, base: str | None, epoch: int | None, path: Path
    ) -> Stage:
        inputs = tuple(
            self._input(name, description, (*path, "inputs", name))
            for name, description in item.get("inputs", {}).items()
        )
        devices = self._devices(item.get("devices", {}), (*path, "devices"))
        mounts = self._mounts(item.get("mounts", ()), devices, (*path, "mounts"))
        options = item.get("options") or {}
        id_ = ids.stage_id(
            item["type"],
            build,
            base,
            options,
            source_epoch=epoch,
            inputs={i.name: i.id for i in inputs},
            mounts=[m.id for m in mounts],
        )
        return Stage(item["type"], id_, options, inputs, tuple(devices.values()), mounts, path)

    def _input(self, name: str, item: Document, path: Path) -> Input:
        self._pipelines.check_name(name, path)
        origin = item["origin"]
        refs: dict[str, Any] = {}
        for ref, options in _pairs(item["references"]):
            if origin != ORIGIN_PIPELINE:
                refs[ref] = options
                continue
            target = self._pipelines.resolve(ref, (*path, "references"))
            if target is not None and target.id is not None:
                refs[target.id] = options
        options = item.get("options") or {}
        return Input(
            name, item["type"], origin, refs, options, ids.input_id(item["type"], origin, refs, options)
        )

    def _devices(self, items: Mapping[str, Document], path: Path) -> dict[str, Device]:
        """Return the devices by name, in an order in which a parent comes before its children."""
        devices: dict[str, Device] = {}

        def add(name: str, children: tuple[str, ...]) -> Device | None:
            if name in devices:
                return devices[name]
            item = items[name]
            parent = None
            wanted = item.get("parent")
            if wanted:
                place = (*path, name, "parent")
                if wanted == name or wanted in children:
                    message = f"device {name!r} is opened on itself, by way of {wanted!r}"
                    hint = "take one of the parents out"
                    self.issues.append(Issue(message, place, "manifest.cycle", hint))
                elif wanted not in items:
                    self._unknown("device", wanted, items, place)
                else:
                    parent = add(wanted, (*children, name))
            options = item.get("options") or {}
            id_ = ids.device_id(item["type"], parent.id if parent else None, options)
            devices[name] = Device(name, item["type"], parent.name if parent else None, options, id_)
            return devices[name]

        for name in items:
            add(name, ())
        return devices

    def _mounts(
        self, items: Iterable[Document], devices: Mapping[str, Device], path: Path
    ) -> tuple[Mount, ...]:
        mounts: dict[str, Mount] = {}
        for index, item in enumerate(items):
            name, source = item["name"], item.get("source")
            if name in mounts:
                message = f"a second mount is named {name!r}"
                hint = "give it another name"
                self.issues.append(Issue(message, (*path, index, "name"), "manifest.duplicate-name", hint))
            if source and source not in devices:
                self._unknown("device", source, devices, (*path, index, "source"))
            device = devices.get(source) if source else None
            partition, target, options = item.get("partition"), item.get("target"), item.get("options") or {}
            id_ = ids.mount_id(item["type"], device.id if device else None, partition, target, options)
            mounts[name] = Mount(name, item["type"], source or None, partition, target, options, id_)
        return tuple(mounts.values())

    def export(self, name: str, item: Document) -> Export:
        path = ("exports", name)
        self._pipelines.check_name(name, path)
        if self._pipelines.named(name):
            message = f"an export and a pipeline are both named {name!r}"
            self.issues.append(
                Issue(message, path, "manifest.duplicate-name", "give the export another name")
            )
        target = self._pipelines.resolve(item["pipeline"], (*path, "pipeline"))
        return Export(name, item["type"], target.name if target else "", item.get("options") or {}, path)

    def _unknown(self, what: str, name: str, known: Iterable[str], path: Path) -> None:
        import difflib

        close = difflib.get_close_matches(name, list(known), 1)
        hint = f"did you mean {close[0]!r}?" if close else f"name a {what} of this stage"
        self.issues.append(Issue(f"there is no {what} {name!r}", path, "manifest.unknown-reference", hint))


def describe(manifest: Manifest, *, complete: bool = False, ids: bool = True) -> dict[str, Any]:
    """Return ``manifest`` as JSON; see :func:`osbuild_core.formats.describe`."""
    runners: dict[str | None, str | None] = {
        manifest[p.build].id: manifest[p.build].declares for p in manifest if p.build
    }
    writer = _Writer(manifest, complete, ids)
    document: dict[str, Any] = {"version": "2"}
    if manifest.metadata:
        document["metadata"] = manifest.metadata
    document["pipelines"] = [
        writer.pipeline(p, p.declares if complete else p.declares and runners.get(p.id)) for p in manifest
    ]
    if manifest.sources:
        document["sources"] = {
            source.type: {
                "items": source.items,
                **({"options": source.options} if complete and source.options else {}),
            }
            for source in manifest.sources
        }
    if complete and manifest.exports:
        document["exports"] = {
            export.name: _present(
                {"type": export.type, "pipeline": f"name:{export.pipeline}", "options": export.options}
            )
            for export in manifest.exports
        }
    return document


def _present(document: dict[str, Any]) -> dict[str, Any]:
    """Return ``document`` without what is None or empty."""
    return {key: value for key, value in document.items() if value not in (None, {}, [], "")}


class _Writer:
    def __init__(self, manifest: Manifest, complete: bool, with_ids: bool) -> None:
        self._manifest = manifest
        self._complete = complete
        self._with_ids = with_ids

    def pipeline(self, pipeline: Pipeline, runner: str | None) -> dict[str, Any]:
        build = self._manifest[pipeline.build] if pipeline.build else None
        description: dict[str, Any] = {
            "name": pipeline.name,
            "build": build and (build.id if self._with_ids else f"name:{build.name}"),
            "runner": runner,
            "stages": [self._stage(stage) for stage in pipeline.stages],
        }
        if self._complete:
            description["source-epoch"] = pipeline.source_epoch
        return _present(description)

    def _stage(self, stage: Stage) -> dict[str, Any]:
        return _present(
            {
                "type": stage.type,
                "id": stage.id if self._with_ids else None,
                "options": stage.options,
                "devices": {device.name: self._device(device) for device in stage.devices},
                "inputs": {item.name: self._input(item) for item in stage.inputs},
                "mounts": [_mount(mount) for mount in stage.mounts],
            }
        )

    def _device(self, device: Device) -> dict[str, Any]:
        parent = device.parent if self._complete else None
        return _present({"type": device.type, "parent": parent, "options": device.options})

    def _input(self, item: Input) -> dict[str, Any]:
        refs = item.refs
        if item.origin == ORIGIN_PIPELINE and not self._with_ids:
            refs = {f"name:{self._manifest[ref].name}": options for ref, options in refs.items()}
        description = {"type": item.type, "origin": item.origin, "references": refs}
        return {**description, "options": item.options} if item.options else description


def _mount(mount: Mount) -> dict[str, Any]:
    return _present(
        {
            "name": mount.name,
            "type": mount.type,
            "source": mount.source,
            "partition": mount.partition,
            "target": mount.target,
            "options": mount.options,
        }
    )
