"""What checking a job template costs, from start to end, against ``openjd check`` of the same file.

openjd-cli is taken from ``--openjd``, else installed into an environment of its own that is gone afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from measure import OSBUILD_CORE, ROOT, in_turns, seconds, verdict, workspace


def template(steps: int) -> dict[str, Any]:
    """Return a job template with a file and two task parameters in each step."""
    return {
        "specificationVersion": "jobtemplate-2023-09",
        "name": "Frames of {{Param.Scene}}",
        "parameterDefinitions": [{"name": "Scene", "type": "STRING", "default": "one"}],
        "steps": [
            {
                "name": f"Step {number}",
                **({"dependencies": [{"dependsOn": f"Step {number - 1}"}]} if number else {}),
                "parameterSpace": {
                    "taskParameterDefinitions": [
                        {"name": "Frame", "type": "INT", "range": "1-100"},
                        {"name": "Layer", "type": "STRING", "range": ["front", "back"]},
                    ],
                    "combination": "Layer * Frame",
                },
                "script": {
                    "actions": {
                        "onRun": {
                            "command": "{{Task.File.Run}}",
                            "args": ["{{Param.Scene}}", "{{Task.Param.Frame}}"],
                        }
                    },
                    "embeddedFiles": [
                        {"name": "Run", "type": "TEXT", "data": "echo {{Task.Param.Layer}} $1 $2\n" * 10}
                    ],
                },
            }
            for number in range(steps)
        ],
    }


def installed(directory: Path) -> Path:
    """Install openjd-cli below ``directory``; return its command."""
    environment = directory / "openjd"
    for command in (
        [sys.executable, "-m", "venv", environment],
        [environment / "bin" / "python", "-m", "pip", "install", "--quiet", "openjd-cli"],
    ):
        if subprocess.run([str(part) for part in command]).returncode != 0:
            sys.exit("openjd-cli cannot be installed; give one with --openjd")
    return environment / "bin" / "openjd"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--openjd", type=Path, help="the openjd command")
    arguments = parser.parse_args()
    # As installed: with the modules compiled, whatever the environment says about writing that down.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    compiled = [sys.executable, "-m", "compileall", "-q", ROOT / "osbuild_core"]
    subprocess.run(compiled, env=environment, check=True)
    with workspace() as directory:
        openjd = arguments.openjd or installed(directory)
        for steps in (1, 200):
            for suffix in (".yaml", ".json"):
                # JSON is YAML, and the same text is read in the same way by both.
                path = directory / f"template{suffix}"
                path.write_text(json.dumps(template(steps), indent=2))
                ours: list[str | Path] = [OSBUILD_CORE, "job", "check", path]
                theirs: list[str | Path] = [openjd, "check", path]
                for command in (ours, theirs):
                    seconds(command, env=environment)
                mine, other = in_turns(
                    arguments.rounds,
                    lambda command=ours: seconds(command, env=environment),
                    lambda command=theirs: seconds(command, env=environment),
                )
                what = f"{steps} step{'s' if steps > 1 else ''}, {suffix[1:]}"
                verdict(f"osbuild-core job check / openjd check ({what})", mine, other, 0.33)


if __name__ == "__main__":
    main()
