"""Composes of 2,000 packages: what one costs against createrepo_c alone, and what one costs that shares them.

What a compose costs is all of it: a process that reads the request, chooses the packages, has the engine make the
metadata in its sandbox, links the packages, writes what belongs to a compose and ends. It is held against one run of
createrepo_c on the same packages, with the options of our stage. Both are counted in wall time and in processor time
(of the process with all that it starts); the page cache is warm for both.

Sizes of packages are spread as those of distributions are: half of them have less than 80 kB, the average has 0.5 MB.
Each has 60 files, 16 dependencies and ten changes.

The packages are in the store, as after the first compose of anything that has them. Each compose lacks another one of
them, so that its metadata are made anew; the second is one that there is. The first, which fetches them, too, is told
beside, and one from a repository that says too little of its packages, so that createrepo_c reads them.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from measure import ROOT, verdict, workspace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.packages.rpms import Rpm, build, index

AIM = 1.3
AIM_SECOND = 0.5
PER_SOURCE = 100
MEDIAN = 80_000
LARGEST = 20_000_000

COMPOSE = """
import json, sys
from pathlib import Path
from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.generate import Place, generate
from osbuild_core.exports.compose.parsing import parse_request

folder, number = Path(sys.argv[1]), int(sys.argv[2])
settings = ComposeSettings(store=folder / "store", state_dir=folder / "state", allowed_sources=("/",))
request = parse_request(json.loads(sys.stdin.read())).request
generate(request, Place(folder / "target", number), settings)
"""


class Cost(NamedTuple):
    """Seconds."""

    wall: float
    processor: float


def sizes(count: int, mean: float) -> list[int]:
    """Return ``count`` sizes in bytes with about that mean, a lognormal distribution's quantiles, in no order."""
    sigma = math.sqrt(2 * math.log(mean / MEDIAN))
    normal = statistics.NormalDist()
    found = [
        min(LARGEST, int(MEDIAN * math.exp(sigma * normal.inv_cdf((n + 0.5) / count)))) for n in range(count)
    ]
    return [found[n * 7919 % count] for n in range(count)] if count % 7919 else found


def make_repository(folder: Path, count: int, mean: float) -> None:
    """Build ``count`` packages, and their metadata. Their content does not compress."""
    packages = [
        Rpm(
            f"package{number:04}",
            source=f"source{number // PER_SOURCE:03}",
            requires=tuple(f"library{(number + n) % 300}.so.{n}()(64bit)" for n in range(12)),
            provides=tuple(f"library{number % 300}.so.{n}()(64bit)" for n in range(4)),
            files=files_of(f"package{number:04}"),
            changes=10,
        )
        for number in range(count)
    ]
    blobs = dict(zip((package.name for package in packages), sizes(count, mean), strict=True))
    folder.mkdir()
    # In memory, since rpmbuild waits for the disk with each file; and not all at once.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    for start in range(0, count, PER_SOURCE):
        with tempfile.TemporaryDirectory(dir=memory) as scratch:
            built = build(
                Path(scratch), packages[start : start + PER_SOURCE], blob=lambda package: blobs[package.name]
            )
            for path in built.glob("*.rpm"):
                shutil.move(path, folder)
    index(folder)


def without_entries(repository: Path, folder: Path) -> None:
    """Make ``folder`` a repository of the same files that does not say what else it has of the packages."""
    shutil.copytree(repository, folder, copy_function=os.link)
    repomd = folder / "repodata/repomd.xml"
    text = repomd.read_text()
    repomd.unlink()
    repomd.write_text(re.sub(r'<data type="other">.*?</data>', "", text, flags=re.DOTALL))


def files_of(name: str) -> dict[str, str]:
    """Return the files of a package, in a few directories."""
    places = ("/usr/bin", f"/usr/share/{name}", f"/usr/share/doc/{name}", f"/usr/lib/{name}/plugins")
    return {f"{places[n % 4]}/{name}-{n}.txt": name for n in range(60)}


class Bench:
    """A repository of ``count`` packages in ``folder``, and the composes of it."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.count = count
        self.number = 0

    def createrepo(self) -> Cost:
        """Make the metadata as createrepo_c does."""
        output = self.folder / "createrepo"
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir()
        command = ["createrepo_c", "--quiet", "--no-database", "--workers", str(len(os.sched_getaffinity(0)))]
        return cost([*command, "--outputdir", str(output), str(self.folder / "repository")])

    def anew(self) -> Cost:
        """Make a compose that there is not yet."""
        return self.compose(1 + self.number % (self.count - 1))

    def again(self) -> Cost:
        """Make a compose like the first one."""
        return self.compose(0)

    def read(self) -> Cost:
        """Make a compose that there is not yet, from the packages."""
        return self.compose(1 + self.number % (self.count - 1), "plain")

    def compose(self, without: int, repository: str = "repository") -> Cost:
        """Make a compose of all packages but one, as the service does: in a process of its own."""
        self.number += 1
        names = [f"package{one:04}" for one in range(self.count) if one != without]
        source = {"type": "repo", "source": str(self.folder / repository), "packages": names}
        request = {"source": source, "flags": ["no_deps"]}
        return cost([sys.executable, "-c", COMPOSE, str(self.folder), str(self.number)], json.dumps(request))


def cost(command: list[str], given: str = "") -> Cost:
    """Run a command that has to succeed; return what it and all that it started cost."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, input=given, capture_output=True, text=True, env=environment)
    wall = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit(done.stdout + done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def in_turns(rounds: int, *sides: Callable[[], Cost]) -> list[Cost]:
    """Measure each side ``rounds`` times, one after the other; return their medians."""
    values: list[list[Cost]] = [[] for _ in sides]
    for _ in range(rounds):
        for kept, side in zip(values, sides, strict=True):
            kept.append(side())
    return [Cost(*(statistics.median(column) for column in zip(*kept, strict=True))) for kept in values]


def show(name: str, one: Cost, other: Cost, most: float | None = None) -> None:
    verdict(f"{name}, wall time", one.wall, other.wall, most)
    verdict(f"{name}, processor time", one.processor, other.processor, most)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=int, default=2000)
    parser.add_argument("--size", type=float, default=500_000, help="bytes of a package on average")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with workspace() as folder:
        bench = Bench(folder, arguments.packages)
        make_repository(folder / "repository", arguments.packages, arguments.size)
        size = sum(path.stat().st_size for path in (folder / "repository").glob("*.rpm"))
        without_entries(folder / "repository", folder / "plain")
        print(f"{arguments.packages} packages, {size / 1e6:.0f} MB", flush=True)
        bench.createrepo()
        first = bench.again()
        before = used(folder)
        bench.again()
        grown = used(folder) - before
        sides = (bench.anew, bench.again, bench.read, bench.createrepo)
        anew, again, read, alone = in_turns(arguments.rounds, *sides)
        show("compose against createrepo_c", anew, alone, AIM)
        show("a second compose against createrepo_c", again, alone, AIM_SECOND)
        show("a compose whose packages createrepo_c reads, against createrepo_c", read, alone, AIM)
        show(
            "the first compose, which copies the packages into the store, against createrepo_c", first, alone
        )
        print(
            f"disk: a second compose takes {grown / 1e6:.1f} MB for {size / 1e6:.1f} MB of packages",
            flush=True,
        )
    return 0


def used(folder: Path) -> int:
    """Return the bytes that files below ``folder`` take on the disk, each inode once."""
    seen: dict[int, int] = {}
    for path, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(os.path.join(path, name))
            seen[status.st_ino] = status.st_blocks * 512
    return sum(seen.values())


if __name__ == "__main__":
    sys.exit(main())
