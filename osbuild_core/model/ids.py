"""osbuild's ids, bit for bit: the same manifest gives the same ids here and there.

Each is the sha256 over the JSON of its parts in turn (DESIGN section 6). What they leave out (devices
without a mount, runners, module code) they leave out on purpose: they are names that tools compare.
What decides about reuse is the key, see :mod:`osbuild_core.engine.keys`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any


def _digest(*parts: Any) -> str:
    state = hashlib.sha256()
    for part in parts:
        if isinstance(part, dict) and len(part) > _SLICE:
            _update_in_slices(state, part)
        else:
            state.update(json.dumps(part, sort_keys=True).encode())
    return state.hexdigest()


_SLICE = 256


def _update_in_slices(state: Any, part: dict[str, Any]) -> None:
    """Feed the JSON of a large object to ``state`` piece by piece: the whole does not fit into the cache."""
    keys = sorted(part)
    for start in range(0, len(keys), _SLICE):
        text = json.dumps({key: part[key] for key in keys[start : start + _SLICE]}, sort_keys=True)
        state.update((", " if start else "{").encode() + text[1:-1].encode())
    state.update(b"}")


def input_id(type_: str, origin: str, refs: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Return the id of an input; pipelines in ``refs`` are named by id."""
    return _digest(type_, origin, refs, options)


def device_id(type_: str, parent: str | None, options: Mapping[str, Any]) -> str:
    """Return the id of a device; ``parent`` is the parent's id."""
    return _digest(type_, parent, options) if parent else _digest(type_, options)


def mount_id(
    type_: str,
    device: str | None,
    partition: int | None,
    target: str | None,
    options: Mapping[str, Any],
) -> str:
    """Return the id of a mount; ``device`` is the id of the device that it is on. Parts not set are left out."""
    return _digest(type_, *(part for part in (device, partition, target) if part), options)


def stage_id(
    type_: str,
    build: str | None,
    base: str | None,
    options: Mapping[str, Any],
    *,
    source_epoch: int | None = None,
    inputs: Mapping[str, str] | None = None,
    mounts: Sequence[str] = (),
) -> str:
    """Return the id of a stage.

    ``build`` is the id of the build pipeline, ``base`` that of the stage before, ``inputs`` maps input
    names to their ids, ``mounts`` are mount ids in the order of mounting.
    """
    parts: list[Any] = [type_, build, base, options]
    if source_epoch is not None:
        parts.append(source_epoch)
    if inputs:
        parts.append(inputs)
    if mounts:
        parts.append(list(mounts))
    return _digest(*parts)


def source_id(type_: str, items: Mapping[str, Any]) -> str:
    """Return the id of a source, which monitors show."""
    return _digest(type_, items)
