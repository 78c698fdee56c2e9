"""What a stage may write, and so how its tree is begun and whether anything has to reach a disk while it runs."""

from __future__ import annotations

from osbuild_core.catalog.module import Module
from osbuild_core.model.manifest import Stage
from osbuild_core.sandbox.capabilities import IMMUTABLE, granted
from osbuild_core.sandbox.seccomp import free_sync


def writes_tree_only(stage: Stage) -> bool:
    """Tell whether all that the stage writes is files of its tree, which the store brings to the disk."""
    return not (stage.devices or stage.mounts or stage.kind == "assemblers")


def writes_directly(stage: Stage, module: Module) -> bool:
    """Tell whether the stage may write files to where they stay: see ``direct`` of :meth:`Store.begin`.

    Where fsync(2) would be slow it may not, nor where it may make files immutable, for which each would have to be
    looked at.
    """
    capabilities = granted(module.capabilities, module.withheld)
    return writes_tree_only(stage) and IMMUTABLE not in capabilities and free_sync() is not None
