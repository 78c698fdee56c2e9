"""What the benchmarks share: run commands, take medians, fit slopes, print a ratio.

A figure counts only against another of the same run, since machines are shared and noisy; so the two
sides of a ratio are measured in turns.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OSBUILD_CORE = Path(sys.executable).with_name("osbuild-core")

BWRAP = (
    "bwrap --chdir / --die-with-parent --unshare-ipc --unshare-pid --unshare-net"
    " --ro-bind /usr /usr --symlink usr/lib /lib --symlink usr/lib64 /lib64 --symlink usr/bin /bin"
    " --symlink usr/sbin /sbin --dev /dev --proc /proc --tmpfs /run --tmpfs /tmp --ro-bind /sys /sys"
    " -- /usr/bin/python3 -c pass"
).split()
"""A sandbox with an interpreter in it that does nothing: what a stage costs at the least."""


def seconds(command: Sequence[str | Path], **options: object) -> float:
    """Run a command that has to succeed; return the wall time in seconds."""
    started = time.perf_counter()
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - started


def in_turns(rounds: int, *sides: Callable[[], float]) -> list[float]:
    """Measure each side ``rounds`` times, one after the other; return their medians."""
    values: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for kept, side in zip(values, sides, strict=True):
            kept.append(side())
    return [statistics.median(kept) for kept in values]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the straight line through ``points`` (least squares)."""
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope


@contextmanager
def workspace() -> Iterator[Path]:
    """Give a directory on a real file system (``TMPDIR`` or /var/tmp) that is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="osbuild-bench-", dir=os.environ.get("TMPDIR", "/var/tmp")))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def write_manifest(path: Path, *pipelines: dict[str, object]) -> Path:
    """Write a manifest of ``pipelines`` to ``path`` and return that."""
    path.write_text(json.dumps({"version": "2", "pipelines": pipelines}))
    return path


def build(manifest: Path, store: Path) -> float:
    """Build ``manifest`` with a store of its own; return the wall time in seconds."""
    return seconds([OSBUILD_CORE, "build", "--quiet", "--store", store, manifest])


def verdict(name: str, value: float, baseline: float, most: float | None = None) -> None:
    """Print a ratio and what it should be at most."""
    aim = f" (at most {most:g})" if most is not None else ""
    print(f"{name}: {value * 1e3:.1f} ms / {baseline * 1e3:.1f} ms = {value / baseline:.2f}{aim}", flush=True)
