"""AMIs on an emulated AWS: every region with ours and with awspub, and what a sparse image sends by EBS direct.

Every request takes 50 ms, an import and a copy 4 s. Both programs have the same
configuration and the same VMDK image, which goes by way of S3. awspub runs in an environment of its own.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from measure import OSBUILD_CORE, in_turns, seconds, workspace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.emulator.aws.client import Emulator
from tests.emulator.aws.settings import REGIONS
from tests.emulator.awspub import cache_directory, installed

LATENCY = 0.05
PENDING = {"import": 4.0, "copy": 4.0}
BUCKET = "a-bucket"
AIM = 0.2
AIM_SENT = 1.1
PAGE = 4096


class Bench:
    """One emulator and a directory with an image and configurations."""

    def __init__(self, emulator: Emulator, directory: Path) -> None:
        self.emulator = emulator
        self.directory = directory

    def config(self, name: str, **awspub: Any) -> Path:
        path = self.directory / name
        path.write_text(yaml.safe_dump({"awspub": awspub}))
        return path

    def begin(self, regions: int) -> None:
        """Begin with an empty account, in which everything takes its time."""
        self.emulator.reset()
        self.emulator.boto("s3").create_bucket(Bucket=BUCKET)
        # The region of the bucket is always one of them.
        chosen = sorted(REGIONS, key=lambda name: name != "us-east-1")[:regions]
        self.emulator.settings(regions=chosen, latency=LATENCY, pending=PENDING)
        self.emulator.forget_log()

    def run(self, *command: str | Path) -> float:
        """Run a program against the emulator, with nothing left of an earlier run; return the wall time."""
        state = self.directory / f"state-{random.randrange(1 << 30)}"
        environment = {**os.environ, **self.emulator.environment(), "XDG_STATE_HOME": str(state)}
        return seconds(command, cwd=self.directory, env=environment)

    def images(self) -> list[tuple[str, str, str]]:
        """Return (region, image, snapshot's name) of what there is."""
        return sorted(
            (
                region,
                image["name"],
                there["snapshots"][image["mappings"][0]["Ebs"]["SnapshotId"]]["tags"]["Name"],
            )
            for region, there in self.emulator.state()["regions"].items()
            for image in there["images"].values()
        )


def everywhere(bench: Bench, regions: int, rounds: int) -> bool:
    """Compare the time of ``create`` in all regions; say whether the aim is met."""
    disk = bench.directory / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(256 << 20)
        file.seek(64 << 20)
        file.write(os.urandom(16 << 20))
    convert = ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]
    subprocess.run([*convert, disk, bench.directory / "disk.vmdk"], check=True)
    images = {"an-image": {"boot_mode": "uefi", "description": "an image", "share": ["111122223333"]}}
    source = {"path": "disk.vmdk", "architecture": "x86_64"}
    shared = {"s3": {"bucket_name": BUCKET}, "images": images}
    config = bench.config("config.yaml", source=source, **shared)
    direct = bench.config("direct.yaml", source={**source, "path": "disk.raw"}, upload="ebs", **shared)
    awspub = installed(cache_directory())
    results: list[list[tuple[str, str, str]]] = []

    def side(*command: str | Path) -> float:
        bench.begin(regions)
        taken = bench.run(*command)
        results.append(bench.images())
        return taken

    ours, by_ebs, theirs = in_turns(
        rounds,
        lambda: side(OSBUILD_CORE, "ami", "create", config),
        lambda: side(OSBUILD_CORE, "ami", "create", direct),
        lambda: side(awspub, "create", config),
    )
    assert results[0] == results[2], "the two have not made the same"
    assert len(results[0]) == len(results[1]) == regions
    print(
        f"{regions} regions, ours / awspub: {ours:.1f} s / {theirs:.1f} s = {ours / theirs:.3f} (at most {AIM:g})"
    )
    print(f"{regions} regions, ours by EBS direct from a raw image: {by_ebs:.1f} s", flush=True)
    return ours / theirs <= AIM


def file_system(directory: Path, size: int, data: int) -> Path:
    """Make a sparse disk image with a file system that has ``data`` bytes in files of many sizes."""
    dice, tree, image = random.Random(1), directory / "tree", directory / "sparse.raw"
    tree.mkdir()
    left = data
    while left > 0:
        length = min(left, int(dice.lognormvariate(11, 2)) + 1)
        (tree / f"{left:x}").write_bytes(dice.randbytes(length))
        left -= length
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-d", tree, image], check=True)
    return image


def pages(image: Path) -> int:
    """Return how many bytes of an image are in pages that are not zero."""
    count, zero = 0, bytes(PAGE)
    with image.open("rb") as file:
        while page := file.read(PAGE):
            count += page != zero
    return count * PAGE


def sparse(bench: Bench) -> bool:
    """Compare what is sent with what there is; say whether the aim is met."""
    image = file_system(bench.directory, 2 << 30, 200_000_000)
    images = {"an-image": {"boot_mode": "uefi", "regions": ["us-east-1"]}}
    source = {"path": image.name, "architecture": "x86_64"}
    config = bench.config("sparse.yaml", source=source, upload="ebs", images=images)
    bench.begin(1)
    taken = bench.run(OSBUILD_CORE, "ami", "create", config)
    sent, data = sum(item["bytes"] for item in bench.emulator.log()), pages(image)
    ratio = sent / data
    print(
        f"2 GiB sparse by EBS direct, sent / data: {sent / 1e6:.1f} MB / {data / 1e6:.1f} MB = {ratio:.3f}"
        f" (at most {AIM_SENT:g}), {taken:.1f} s"
    )
    return ratio <= AIM_SENT


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--regions", type=int, default=len(REGIONS), help="[default: %(default)s]")
    parser.add_argument("--rounds", type=int, default=1, help="[default: %(default)s]")
    arguments = parser.parse_args()
    with workspace() as directory, Emulator() as emulator:
        bench = Bench(emulator, directory)
        met = [sparse(bench), everywhere(bench, arguments.regions, arguments.rounds)]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
