"""Keys: what the store files a tree under. A key has everything that can change the result.

osbuild's id leaves out devices, the code of modules, the runner and the machine; a key does not, so that
editing any of these rebuilds what it touches, and nothing else. Pure: digests come in, keys go out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from osbuild_core.model.manifest import Manifest, Pipeline, Stage
from osbuild_core.sandbox.spec import LAYOUT_VERSION

if TYPE_CHECKING:
    from osbuild_core.engine.settings import Pause

KEY_VERSION = 1


class Digests(NamedTuple):
    """What keys need to know of the world.

    ``module(kind, name)`` is the digest of a module's code and metadata, ``runner(name)`` that of the
    runner that a pipeline's runner name resolves to (None: the host's).
    """

    module: Callable[[str, str], str]
    runner: Callable[[str | None], str]
    sdk: str
    architecture: str
    host: str


class Keys(NamedTuple):
    """The keys of all stages of a manifest, by pipeline name; ``host`` has the names of those pipelines
    whose keys depend on the machine."""

    stages: Mapping[str, tuple[str, ...]]
    host: frozenset[str] = frozenset()

    def of(self, pipeline: str) -> str | None:
        """Return the key of the pipeline's tree; None for one without stages."""
        keys = self.stages[pipeline]
        return keys[-1] if keys else None


def _digest(document: object) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def ground(key: str | None) -> str | None:
    """Return what enters a key for a tree that it stands on.

    The one place where that happens: a content digest in the key's stead makes early cutoff.
    """
    return key


def manifest_keys(manifest: Manifest, digests: Digests, pause: Pause | None = None) -> Keys:
    """Return the key of every stage of ``manifest``; those at which ``pause`` is, and what follows, have their own.

    Pipelines come after what they refer to, so one pass is enough.
    """
    keys: dict[str, tuple[str, ...]] = {}
    host: set[str] = set()
    for pipeline in manifest:
        build = pipeline.build
        build_key = keys[build][-1] if build is not None and keys[build] else None
        if build is None or build in host or build_key is None:
            host.add(pipeline.name)
        surroundings = _surroundings(pipeline, build_key, digests)
        base: str | None = None
        made = []
        for stage in pipeline.stages:
            trees = []
            for taken in manifest.inputs_of(stage):
                trees.append(ground(keys[taken.name][-1]))
                if taken.name in host:
                    host.add(pipeline.name)
            base = _digest(
                {
                    **surroundings,
                    "id": stage.id,
                    "base": ground(base),
                    "devices": [[device.name, device.id] for device in stage.devices],
                    "modules": _module_digests(stage, digests),
                    "trees": trees,
                    **({"pause": pause.mark} if pause is not None and pause.at(stage) else {}),
                }
            )
            made.append(base)
        keys[pipeline.name] = tuple(made)
    return Keys(keys, frozenset(host))


def _surroundings(pipeline: Pipeline, build_key: str | None, digests: Digests) -> dict[str, object]:
    return {
        "version": KEY_VERSION,
        "layout": LAYOUT_VERSION,
        "architecture": digests.architecture,
        "sdk": digests.sdk,
        "build": ground(build_key),
        "runner": digests.runner(pipeline.runner),
        "host": digests.host if build_key is None else None,
    }


def _module_digests(stage: Stage, digests: Digests) -> list[str]:
    return [
        digests.module(stage.kind, stage.type),
        *(digests.module("inputs", item.type) for item in stage.inputs),
        *(digests.module("devices", device.type) for device in stage.devices),
        *(digests.module("mounts", mount.type) for mount in stage.mounts),
    ]


def runner_key(build_key: str | None, runner: str, digests: Digests) -> str:
    """Return the key of what a runner left in ``/etc`` and ``/var`` of a build tree."""
    return _digest(
        {
            "version": KEY_VERSION,
            "layout": LAYOUT_VERSION,
            "architecture": digests.architecture,
            "sdk": digests.sdk,
            "runner": runner,
            "build": ground(build_key),
            "host": digests.host if build_key is None else None,
        }
    )
