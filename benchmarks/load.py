"""Time to load a manifest with 10,000 source references over the time for 1,000, as a ratio.

Loading works ids out in one pass, so that the ratio is near 10; hashing all references again for each
one would make it near 100. Run as ``python benchmarks/load.py``.
"""

from __future__ import annotations

import gc
import hashlib
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from osbuild_core import formats
from osbuild_core.catalog import Library, default_library

AIM = 12.0
ROUNDS = 15


def document(count: int) -> dict[str, Any]:
    """Return a manifest whose one stage takes ``count`` files from a source."""
    checksums = [f"sha256:{hashlib.sha256(str(number).encode()).hexdigest()}" for number in range(count)]
    references = [
        {"id": checksum, "options": {"metadata": {"rpm.check_gpg": True}}} for checksum in checksums
    ]
    files = {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": references}
    stage = {"type": "org.osbuild.noop", "inputs": {"packages": files}}
    items = {checksum: {"url": f"http://localhost/{checksum}"} for checksum in checksums}
    return {
        "version": "2",
        "pipelines": [{"name": "tree", "stages": [stage]}],
        "sources": {"org.osbuild.curl": {"items": items}},
    }


def seconds(item: dict[str, Any], library: Library) -> float:
    """Return the processor time of one load."""
    gc.collect()
    start = time.process_time()
    formats.load(item, library)
    return time.process_time() - start


def main() -> int:
    library = Library(default_library())
    small, large = document(1_000), document(10_000)
    formats.load(small, library)
    # In turns, so that what else the machine does meets both; what disturbs a run only makes it slower.
    pairs = [(seconds(small, library), seconds(large, library)) for _ in range(ROUNDS)]
    few, many = (min(times) for times in zip(*pairs, strict=True))
    ratio = many / few
    print(f"load 10,000 / 1,000 references: {ratio:.1f} (at most {AIM:.0f})")
    print(f"  1,000: {few * 1000:.1f} ms, 10,000: {many * 1000:.1f} ms")
    return 0 if ratio <= AIM else 1


if __name__ == "__main__":
    sys.exit(main())
