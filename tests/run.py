"""Runs the test suite: in parallel, with one line at the end for what was skipped and why.

``--soak`` runs the long campaigns in full; other arguments go to pytest.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent


def main(argv: list[str]) -> int:
    soak = "--soak" in argv
    rest = [argument for argument in argv if argument != "--soak"]
    # A job in the background of a shell may ignore SIGINT, and so would all that the tests send it to.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    report = ROOT / "build" / "tests.xml"
    report.parent.mkdir(exist_ok=True)
    workers = max(2, len(os.sched_getaffinity(0)))
    # Files stay together, as they share what is expensive; the long ones start first (see conftest.py).
    command = [sys.executable, "-m", "pytest", f"-n{workers}", f"--junitxml={report}"]
    command += ["--dist=loadgroup", "--no-loadscope-reorder"]
    environment = {**os.environ, "OSBUILD_CORE_SOAK": "1" if soak else ""}
    status = subprocess.run([*command, *rest], cwd=ROOT, env=environment).returncode
    skipped = skips(report)
    if skipped:
        print("skipped: " + "; ".join(f"{count} because {reason}" for reason, count in skipped.items()))
    return status


def skips(report: Path) -> Counter[str]:
    """Return how many tests were skipped for which reason."""
    found: Counter[str] = Counter()
    for element in ElementTree.parse(report).iter("skipped"):
        found[element.get("message", "no reason given")] += 1
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
