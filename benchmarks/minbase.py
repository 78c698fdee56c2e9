"""A minimal Debian tree from packages that are at hand: our build against ``mmdebstrap --variant=minbase``.

Both get the same packages, start with nothing else, and end with what they made on the disk (syncfs). Needs root,
mmdebstrap, apt-ftparchive, and an apt entry of the machine for the suite.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from measure import OSBUILD_CORE, in_turns, seconds, verdict, workspace

TEMPLATE = """
pipelines:
  - name: tree
    source-epoch: 1735689600
    stages:
      - type: org.osbuild.deb
        inputs:
          packages:
            type: org.osbuild.files
            origin: org.osbuild.source
            references:
              $packages: {suite: SUITE, base: minbase, include: [usr-is-merged]}
"""
MERGED_USR = "/usr/share/mmdebstrap/hooks/merged-usr"
AIM = 0.9


def prepare(place: Path, suite: str) -> Path:
    """Resolve the packages, fetch them, and make a repository of them; return the manifest."""
    template, manifest = place / "minbase.yaml", place / "minbase.json"
    template.write_text(TEMPLATE.replace("SUITE", suite))
    seconds([OSBUILD_CORE, "resolve", template, "-o", manifest])
    # Without an export this only downloads.
    seconds([OSBUILD_CORE.with_name("osbuild"), "--store", place / "store", manifest])
    pool = place / "repository/pool"
    pool.mkdir(parents=True)
    items = json.loads(manifest.read_text())["sources"]["org.osbuild.curl"]["items"]
    for checksum in items:
        (pool / f"{checksum.partition(':')[2]}.deb").hardlink_to(
            place / "store/sources/org.osbuild.files" / checksum
        )
    index = subprocess.run(
        ["apt-ftparchive", "packages", "pool"], cwd=pool.parent, check=True, stdout=subprocess.PIPE
    ).stdout
    (pool.parent / "Packages").write_bytes(index)
    return manifest


def ours(place: Path, manifest: Path) -> float:
    """Build the tree in a store with nothing but the packages."""
    store = place / "ours"
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir()
    seconds(["cp", "--archive", "--link", place / "store/sources", store / "sources"])
    seconds(["sync"])
    return seconds([OSBUILD_CORE, "build", "--quiet", "--store", store, manifest])


def theirs(place: Path, names: list[str]) -> float:
    """Make the tree with mmdebstrap."""
    target = place / "theirs"
    shutil.rmtree(target, ignore_errors=True)
    seconds(["sync"])
    command = [
        "mmdebstrap",
        "--variant=minbase",
        "--mode=root",
        "--format=directory",
        f"--hook-dir={MERGED_USR}",
    ]
    command += [f"--include={','.join(names)}", "", str(target)]
    command += [f"deb [trusted=yes] copy://{place}/repository ./"]
    started = time.perf_counter()
    seconds(command)
    seconds(["sync", "--file-system", target])
    return time.perf_counter() - started


def installed(status: str) -> set[str]:
    """Return the names of the packages in the text of a dpkg status file that are installed."""
    paragraphs = [
        paragraph for paragraph in status.split("\n\n") if "\nStatus: install ok installed\n" in paragraph
    ]
    return {paragraph.partition("\n")[0].removeprefix("Package: ") for paragraph in paragraphs}


def same_packages(place: Path, manifest: Path) -> bool:
    """Tell whether both sides have installed the same."""
    export = place / "export"
    command = [OSBUILD_CORE, "build", "--quiet", "--store", place / "ours", "--export", "tree"]
    seconds([*command, "--output-directory", export, manifest])
    status = "var/lib/dpkg/status"
    return installed((export / "tree" / status).read_text()) == installed(
        (place / "theirs" / status).read_text()
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", default="bookworm")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    with workspace() as place:
        place.chmod(0o755)
        manifest = prepare(place, chosen.suite)
        index = (place / "repository/Packages").read_text().splitlines()
        names = sorted(line.partition(": ")[2] for line in index if line.startswith("Package: "))
        own, other = in_turns(chosen.rounds, lambda: ours(place, manifest), lambda: theirs(place, names))
        if not same_packages(place, manifest):
            print("the two trees do not have the same packages", file=sys.stderr)
            return 1
        print(f"{len(names)} packages")
        verdict("minbase tree / mmdebstrap", own, other, AIM)
    return 0


if __name__ == "__main__":
    sys.exit(main())
