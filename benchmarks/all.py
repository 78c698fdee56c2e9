"""Runs every benchmark, one after the other, and prints their ratios. See docs/performance.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Not ami.py: it takes three minutes, in most of which awspub waits.
BENCHMARKS = (
    "load",
    "startup",
    "stages",
    "parallel",
    "commit",
    "minbase",
    "remote_cache",
    "plan_slurm",
    "job_check",
    "job_run",
    "service_lists",
    "compose",
)


def main() -> int:
    status = 0
    for name in BENCHMARKS:
        print(f"== {name}", flush=True)
        status |= subprocess.run([sys.executable, str(HERE / f"{name}.py")]).returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
