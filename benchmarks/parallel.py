"""Four independent pipelines of sleeping stages: with --jobs 4 against one after the other."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from measure import OSBUILD_CORE, ROOT, in_turns, seconds, verdict, workspace, write_manifest

FOLDERS = ("stages", "inputs", "sources", "devices", "mounts", "runners")


def library_with_sleep(path: Path) -> Path:
    """Make a library with a stage that sleeps."""
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, path / folder)
    stage = path / "stages" / "org.osbuild.sleep"
    stage.write_text(
        "#!/usr/bin/python3\nimport time\nimport osbuild.api\n"
        "time.sleep(osbuild.api.arguments()['options']['seconds'])\n"
    )
    stage.chmod(0o755)
    meta = {"summary": "sleep", "description": [], "schema_2": {"options": {"additionalProperties": True}}}
    stage.with_name(stage.name + ".meta.json").write_text(json.dumps(meta))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    rounds = parser.parse_args().rounds
    with workspace() as directory:
        library = library_with_sleep(directory / "library")
        pipelines = [
            {
                "name": f"p{number}",
                "stages": [
                    {"type": "org.osbuild.sleep", "options": {"seconds": 2, "n": 10 * number + n}}
                    for n in range(3)
                ],
            }
            for number in range(4)
        ]
        manifest = write_manifest(directory / "sleep.json", *pipelines)

        def run(jobs: int) -> float:
            store = directory / "store"
            shutil.rmtree(store, ignore_errors=True)
            command = [OSBUILD_CORE, "build", "--quiet", "--jobs", str(jobs), "--libdir", library]
            return seconds([*command, "--store", store, manifest])

        four, one = in_turns(rounds, lambda: run(4), lambda: run(1))
    verdict("four pipelines, --jobs 4 / --jobs 1", four, one, most=0.3)


if __name__ == "__main__":
    main()
