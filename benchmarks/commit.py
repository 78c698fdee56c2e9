#!/usr/bin/env python3
"""Commit of a tree against ``cp -a`` of the same tree, in one run. Needs root.

A stage writes the tree; then it is committed, and copied from where it can be read. What brings both to the
disk is measured apart. Prints the ratio of the medians of some rounds. The stage is the first of its pipeline, which
writes its files to where they stay; or, with --overlay, a later one.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from osbuild_core.store import mountapi
from osbuild_core.store.namespace import enter_private_namespace
from osbuild_core.store.removal import remove_tree
from osbuild_core.store.store import Store

_PER_DIRECTORY = 100


def write_tree(tree: Path, files: int, megabytes: int) -> None:
    """Write ``files`` files, all of one size, ``megabytes`` in all, a hundred to a directory."""
    content = os.urandom(max(1, megabytes * 1_000_000 // files))
    for number in range(files):
        directory = tree / f"d{number // _PER_DIRECTORY}"
        if number % _PER_DIRECTORY == 0:
            directory.mkdir()
        (directory / f"f{number}").write_bytes(content)


def measure(place: Path, files: int, megabytes: int, overlay: bool) -> tuple[float, float]:
    """Run both in ``place`` and return what they took, in seconds; what brings them to the disk is printed."""
    enter_private_namespace()
    with Store.open(place / "store", backend="overlay") as store:
        with store.begin("tree", None, direct=not overlay) as work:
            write_tree(work.tree, files, megabytes)
            start = time.perf_counter()
            # As after a stage that does without CAP_LINUX_IMMUTABLE, which is nearly every one.
            work.commit({}, flags=False)
            commit = time.perf_counter() - start
        start = time.perf_counter()
        store.sync()
        commit_sync = time.perf_counter() - start
        lease = store.acquire("tree")
        assert lease is not None
        with lease, lease.mount() as tree:
            start = time.perf_counter()
            subprocess.run(["cp", "-a", "--reflink=never", tree, place / "copy"], check=True)
            copy = time.perf_counter() - start
    start = time.perf_counter()
    mountapi.syncfs(place)
    copy_sync = time.perf_counter() - start
    print(
        f"commit {commit:.4f} s, then syncfs {commit_sync:.3f} s; cp -a {copy:.4f} s, then {copy_sync:.3f} s"
    )
    return commit, copy


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=25_000, help="how many (default: %(default)s)")
    parser.add_argument("--megabytes", type=int, default=1000, help="how much in all (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often (default: %(default)s)")
    parser.add_argument(
        "--directory", type=Path, help="where to work (default: the directory for temporary files)"
    )
    parser.add_argument("--overlay", action="store_true", help="write the tree through an overlay")
    options = parser.parse_args()
    measured, places = [], []
    try:
        for _ in range(options.rounds):
            places.append(Path(tempfile.mkdtemp(prefix="commit-", dir=options.directory)))
            # In a thread, whose mounts end with it.
            with ThreadPoolExecutor(1) as thread:
                arguments = (places[-1], options.files, options.megabytes, options.overlay)
                measured.append(thread.submit(measure, *arguments).result())
    finally:
        # Not after each round: ext4 without a journal does not take inodes again that were deleted in the last
        # minutes, and looks so long for others that cp takes five times as long.
        for place in places:
            remove_tree(str(place))
    commit, copy = (statistics.median(side) for side in zip(*measured, strict=True))
    print(f"commit / cp -a of {options.files} files, {options.megabytes} MB: ", end="")
    print(f"{commit * 1e3:.1f} ms / {copy * 1e3:.0f} ms = {commit / copy:.4f} (below 0.01)")


if __name__ == "__main__":
    main()
