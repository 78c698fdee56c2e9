"""What writing the plan of a manifest as Slurm job scripts costs: 1,000 pipelines against 100, start to end.

Each pipeline takes the trees of up to three before it. The ratio shows whether the time grows as the manifest does.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from measure import OSBUILD_CORE, in_turns, seconds, verdict, workspace


def manifest(pipelines: int) -> dict[str, Any]:
    """Return a manifest in which each pipeline has ten stages and stands on others."""
    return {"version": "2", "pipelines": [pipeline(number) for number in range(pipelines)]}


def pipeline(number: int) -> dict[str, Any]:
    taken = [number - step for step in (1, 7, 31) if number >= step]
    inputs = {
        f"t{other}": {
            "type": "org.osbuild.tree",
            "origin": "org.osbuild.pipeline",
            "references": [f"name:pipeline-{other}"],
        }
        for other in taken
    }
    stages: list[dict[str, Any]] = [
        {"type": "org.osbuild.noop", "options": {"pipeline": number, "stage": stage}} for stage in range(10)
    ]
    stages[0]["inputs"] = inputs
    return {"name": f"pipeline-{number}", "stages": stages}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with workspace() as directory:
        commands: list[list[str | Path]] = []
        for count in (100, 1000):
            path = directory / f"{count}.json"
            path.write_text(json.dumps(manifest(count)))
            output = directory / f"jobs-{count}"
            commands.append([OSBUILD_CORE, "plan", path, "--as", "slurm", "--output", output])
            seconds(commands[-1])
        few, many = in_turns(arguments.rounds, *(lambda c=command: seconds(c) for command in commands))
        verdict("plan --as slurm, 1,000 pipelines against 100", many, few, 12.0)


if __name__ == "__main__":
    main()
