"""What a stage costs beyond its own work: slopes over 1, 10 and 50 stages, against a bare sandbox."""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from measure import BWRAP, build, seconds, slope, verdict, workspace, write_manifest

COUNTS = (1, 10, 50)


def noop_pipeline(count: int) -> list[dict[str, object]]:
    stages = [{"type": "org.osbuild.noop", "options": {"n": n}} for n in range(count)]
    return [{"name": "tree", "stages": stages}]


def input_pipeline(count: int) -> list[dict[str, object]]:
    tree = {"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline", "references": ["name:base"]}
    stages = [
        {"type": "org.osbuild.noop", "options": {"n": n}, "inputs": {"tree": tree}} for n in range(count)
    ]
    base = {"name": "base", "stages": [{"type": "org.osbuild.noop"}]}
    return [base, {"name": "tree", "stages": stages}]


def cost(directory: Path, name: str, make, rounds: int) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """Return the cost of one more stage and that of a bare sandbox, measured in turns."""
    points, bare = [], []
    for number in range(rounds):
        for count in COUNTS:
            manifest = write_manifest(directory / f"{name}-{count}.json", *make(count))
            points.append((float(count), build(manifest, directory / f"store-{name}-{number}-{count}")))
            bare += [seconds(BWRAP) for _ in range(10)]
    return slope(points), statistics.median(bare)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with workspace() as directory:
        verdict("noop stage / bwrap python3 -c pass", *cost(directory, "noop", noop_pipeline, rounds), most=2)
        verdict("stage with a tree input / same", *cost(directory, "input", input_pipeline, rounds), most=4)


if __name__ == "__main__":
    main()
