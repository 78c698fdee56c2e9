"""Sizes as command lines write them."""

from __future__ import annotations

import re

from osbuild_core.model.errors import UsageError

_UNITS = {"": 1, "B": 1}
_UNITS |= {f"{prefix}B": 1000**power for power, prefix in enumerate("kMGT", start=1)}
_UNITS |= {f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGT", start=1)}


def parse_size(text: str) -> int | None:
    """Return a size in bytes (``20GiB``, ``500MB``, ``1024``), None for ``unlimited``.

    Raises UsageError for anything else.
    """
    if text == "unlimited":
        return None
    match = re.fullmatch(r"(\d+) *([A-Za-z]*)", text.strip())
    unit = {"kiB": "KiB"}.get(match[2], match[2]) if match else ""
    if match is None or unit not in _UNITS:
        raise UsageError(f"{text!r} is no size", code="usage.size", hint="like 500MB, 20GiB or unlimited")
    return int(match[1]) * _UNITS[unit]
