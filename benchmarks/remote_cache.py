#!/usr/bin/env python3
"""Pulling a tree from a remote cache against ``cp -a`` of the same tree, and against making it anew. Needs root.

One store makes the tree and pushes it, another one pulls it; between the rounds what the system has cached of
the files stays. Prints seconds and ratios.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from measure import verdict

from osbuild_core.store.namespace import enter_private_namespace
from osbuild_core.store.remote.access import Access
from osbuild_core.store.remote.blobs import open_blobs
from osbuild_core.store.remote.cache import RemoteCache
from osbuild_core.store.removal import remove_tree
from osbuild_core.store.store import Store

KEY = "ab" * 32
_PER_DIRECTORY = 100


def write_tree(tree: Path, files: int, megabytes: int) -> None:
    """Write files that zstd halves, as it does those of an operating system, a hundred to a directory."""
    half = max(1, megabytes * 500_000 // files)
    for number in range(files):
        directory = tree / f"d{number // _PER_DIRECTORY}"
        if number % _PER_DIRECTORY == 0:
            directory.mkdir()
        (directory / f"f{number}").write_bytes(os.urandom(half) + bytes(half))


def timed(started: float) -> float:
    return time.perf_counter() - started


def measure(place: Path, backend: str, files: int, megabytes: int) -> None:
    """Make, push, pull and copy a tree in ``place``, and print what each took."""
    enter_private_namespace()

    def cache(store: Store) -> RemoteCache:
        return RemoteCache(lambda: store, Access(open_blobs(f"file://{place}/cache"), warn=print))

    with (
        Store.open(place / "one", backend=backend) as one,
        Store.open(place / "two", backend=backend) as two,
    ):
        started = time.perf_counter()
        with one.begin(KEY, None) as work:
            write_tree(work.tree, files, megabytes)
            lease = work.commit_held({})
        made = timed(started)
        with lease, lease.mount() as tree:
            started = time.perf_counter()
            subprocess.run(["cp", "-a", "--reflink=never", tree, place / "copy"], check=True)
            copied = timed(started)
        started = time.perf_counter()
        moved = cache(one).push(KEY)
        pushed = timed(started)
        started = time.perf_counter()
        pulled_lease, _ = cache(two).pull(KEY)
        pulled = timed(started)
        assert pulled_lease is not None
        pulled_lease.close()
    print(f"{backend}: {files} files, {megabytes} MB, compressed {moved.size / 1e6:.0f} MB")
    verdict("  push / cp -a", pushed, copied)
    verdict("  pull / cp -a", pulled, copied)
    verdict("  pull / writing the files", pulled, made)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=25_000, help="how many (default: %(default)s)")
    parser.add_argument("--megabytes", type=int, default=200, help="how much in all (default: %(default)s)")
    parser.add_argument(
        "--directory", type=Path, help="where to work (default: the directory for temporary files)"
    )
    options = parser.parse_args()
    for backend in ("overlay", "copy"):
        place = Path(tempfile.mkdtemp(prefix="remote-cache-", dir=options.directory))
        try:
            # In a thread, whose mounts end with it.
            thread = threading.Thread(target=measure, args=(place, backend, options.files, options.megabytes))
            thread.start()
            thread.join()
        finally:
            remove_tree(str(place))


if __name__ == "__main__":
    main()
