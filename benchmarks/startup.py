"""What a start costs: a tiny inspect and a fully cached build, against an interpreter that does nothing."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from measure import OSBUILD_CORE, ROOT, in_turns, seconds, verdict, workspace, write_manifest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    # As installed: with the modules compiled, whatever the environment says about writing that down.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", ROOT / "osbuild_core"], env=environment, check=True
    )
    with workspace() as directory:
        stages = [{"type": "org.osbuild.noop", "options": {"n": n}} for n in range(3)]
        manifest = write_manifest(directory / "tiny.json", {"name": "tree", "stages": stages})
        store = ["--store", directory / "store"]
        build: list[str | Path] = [OSBUILD_CORE, "build", "--quiet", *store, manifest]
        inspect: list[str | Path] = [OSBUILD_CORE, "inspect", manifest]
        seconds(build, env=environment)
        seconds(inspect, env=environment)
        bare, inspected, built = in_turns(
            rounds,
            lambda: seconds([sys.executable, "-c", "pass"], env=environment),
            lambda: seconds(inspect, env=environment),
            lambda: seconds(build, env=environment),
        )
    verdict("inspect / python3 -c pass", inspected, bare)
    verdict("fully cached build / python3 -c pass", built, bare)


if __name__ == "__main__":
    main()
