"""manifests/debian-disk.yaml on a cluster of two nodes: the same ids and the same tree as on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.slurm.cluster import Cluster

from .debian import OSBUILD_CORE, command, resolve

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.soak, pytest.mark.xdist_group("slurm")]

EXPORTS = ("os", "image")


def stages(text: str) -> list[tuple[str, str]]:
    document: dict[str, Any] = json.loads(text)
    return [(p["name"], s["id"]) for p in document["pipelines"] for s in p["stages"]]


def digest(tree: Path) -> str:
    """Return the digest of ``tree`` as an archive."""
    argv = ["tar", "-C", str(tree), "--sort=name", "--format=posix", "--xattrs", "--xattrs-include=*"]
    argv += ["--pax-option=exthdr.name=%d/%f,delete=atime,delete=ctime", "-c", "."]
    state = hashlib.sha256()
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while data := process.stdout.read(1 << 20):
            state.update(data)
    assert process.returncode == 0
    return state.hexdigest()


def table(image: Path) -> str:
    """Return the partition table of ``image``."""
    done = subprocess.run(["sfdisk", "--dump", image], capture_output=True, text=True, check=True)
    return done.stdout.replace(str(image), "image")


def test_nodes_build_what_this_machine_builds(tmp_path: Path, slurm: Cluster) -> None:
    manifest, events, moved = resolve(tmp_path, "debian-disk"), tmp_path / "events", False
    cache = tmp_path / "shared"
    cache.mkdir()
    out = [word for name in EXPORTS for word in ("--export", name)]
    words = ["build", manifest, "--on", "slurm", "--remote-cache", f"file://{cache}", *out]
    words += ["--store", tmp_path / "driver", "--node-store", tmp_path / "%N", "--json"]
    words += ["--output-directory", tmp_path / "there", "--events", events]
    slurm.run("scontrol", "update", "NodeName=n1", "State=DRAIN", "Reason=test")
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    argv = [str(OSBUILD_CORE), *map(str, words)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        while not moved and process.poll() is None:
            time.sleep(0.1)
            if events.exists() and '"event":"PipelineFinished"' in events.read_text():
                # What one node has built, the other goes on with.
                moved = True
                slurm.run("scontrol", "update", "NodeName=n1", "State=RESUME")
                slurm.run("scontrol", "update", "NodeName=n0", "State=DRAIN", "Reason=test")
        printed = process.stdout.read()
    slurm.run("scontrol", "update", "NodeName=n0", "State=RESUME")
    assert process.returncode == 0
    assert (tmp_path / "n0/objects").is_dir() and (tmp_path / "n1/objects").is_dir()

    # The same source files; they have their checksums.
    (tmp_path / "here-store").mkdir()
    subprocess.run(["cp", "-al", tmp_path / "driver/sources", tmp_path / "here-store/sources"], check=True)
    words = ["build", manifest, "--store", tmp_path / "here-store", *out, "--json"]
    here = command(tmp_path, *words, "--output-directory", tmp_path / "here")
    assert here.returncode == 0, here.stderr
    assert stages(printed) == stages(here.stdout)
    assert digest(tmp_path / "there/os") == digest(tmp_path / "here/os")
    # Its file system was mounted while it was filled, so not every byte is the same.
    assert table(tmp_path / "there/image/disk.img") == table(tmp_path / "here/image/disk.img")
