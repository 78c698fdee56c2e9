"""Composes of 2,000 packages: what one costs against createrepo_c alone, and what one costs that shares them.

The packages are in the store, as after the first compose of anything that has them. Each compose lacks another one of
them, so that its metadata are made anew; the second is one that there is. createrepo_c has the options of our stage.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from measure import in_turns, verdict, workspace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.generate import Place, generate
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType
from tests.packages.rpms import Rpm, build, index

AIM = 1.3
AIM_SECOND = 0.5
PER_SOURCE = 100


def make_repository(folder: Path, count: int, size: int) -> None:
    """Build ``count`` packages with ``size`` bytes each that do not compress, and their metadata."""
    packages = []
    for number in range(count):
        name = f"package{number:04}"
        packages.append(
            Rpm(name, source=f"source{number // PER_SOURCE:03}", requires=("libc",), files=files_of(name))
        )
    build(folder, packages, blob=size)
    shutil.rmtree(folder / ".work")
    index(folder)


def files_of(name: str) -> dict[str, str]:
    """Return the files of a package: some thirty, as an average one has."""
    return {f"/usr/share/{name}/{number}.txt": name for number in range(30)}


class Bench:
    """A repository of ``count`` packages in ``folder``, and the composes of it."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.count = count
        self.number = 0

    def createrepo(self) -> float:
        """Make the metadata as createrepo_c does; return the wall time in seconds."""
        output = self.folder / "createrepo"
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir()
        command = ["createrepo_c", "--quiet", "--no-database", "--workers", str(len(os.sched_getaffinity(0)))]
        return self.timed([*command, "--outputdir", str(output), str(self.folder / "repository")])

    def anew(self) -> float:
        """Make a compose that there is not yet; return the wall time in seconds."""
        return self.compose(1 + self.number % (self.count - 1))

    def again(self) -> float:
        """Make a compose like the first one."""
        return self.compose(0)

    def compose(self, without: int) -> float:
        """Make a compose of all packages but one, as a worker does: in a process that has made some before."""
        self.number += 1
        folder = self.folder
        settings = ComposeSettings(store=folder / "store", state_dir=folder / "state", allowed_sources=("/",))
        names = tuple(f"package{one:04}" for one in range(self.count) if one != without)
        source = str(folder / "repository")
        request = ComposeRequest(SourceType.repo, source, names, flags=frozenset({"no_deps"}))
        started = time.perf_counter()
        generate(request, Place(folder / "target", self.number), settings)
        return time.perf_counter() - started

    def timed(self, command: list[str]) -> float:
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stdout + done.stderr)
        return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=int, default=2000)
    parser.add_argument("--size", type=int, default=500_000, help="bytes of each package")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with workspace() as folder:
        bench = Bench(folder, arguments.packages)
        make_repository(folder / "repository", arguments.packages, arguments.size)
        first = bench.again()
        print(f"the first compose, which reads the packages into the store: {first:.2f} s", flush=True)
        before = used(folder)
        bench.again()
        grown = used(folder) - before
        anew, again, alone = in_turns(arguments.rounds, bench.anew, bench.again, bench.createrepo)
        verdict("compose against createrepo_c", anew, alone, AIM)
        verdict("a second compose against createrepo_c", again, alone, AIM_SECOND)
        size = sum(path.stat().st_size for path in (folder / "repository").glob("*.rpm"))
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
