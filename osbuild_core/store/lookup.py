"""Finds objects by what people call them: a key, the id of a stage, or how one of them begins."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from osbuild_core.store.object import ObjectInfo

SHORTEST = 6
"""Digits that a shortened key or id has at least."""


def is_short(text: str) -> bool:
    """Tell whether ``text`` may be a key or an id, whole or shortened."""
    return re.fullmatch(rf"[0-9a-f]{{{SHORTEST},64}}", text) is not None


def last_stage(info: ObjectInfo) -> dict[str, Any] | None:
    """Return what the object says of the stage that made it; None for what no stage made."""
    stages = info.document.get("stages")
    last = stages[-1] if isinstance(stages, list) and stages else None
    return last if isinstance(last, dict) else None


def matching(infos: Iterable[ObjectInfo], text: str) -> list[ObjectInfo]:
    """Return the objects whose key, or the id of whose stage, is ``text`` or begins so."""
    found = []
    for info in infos:
        stage = last_stage(info)
        if info.key.startswith(text) or (stage and str(stage.get("id", "")).startswith(text)):
            found.append(info)
    # A whole key means that object, and no other of the same id.
    return [info for info in found if info.key == text] or found
