"""Manifests of version 1: a build pipeline within a pipeline, a runner in the build tree, an assembler."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from .conftest import OSBUILD, Bench

pytestmark = pytest.mark.root


def manifest(bench: Bench, assembler: dict[str, Any] | None) -> Path:
    """A tree with a directory and a host name, and what becomes of it."""
    stages = [
        {"name": "org.osbuild.mkdir", "options": {"paths": [{"path": "/etc", "parents": True}]}},
        {"name": "org.osbuild.hostname", "options": {"hostname": "one"}},
    ]
    pipeline: dict[str, Any] = {"stages": stages}
    if assembler:
        pipeline["assembler"] = assembler
    path = bench.directory / "version1.json"
    path.write_text(json.dumps({"pipeline": pipeline, "sources": {}}))
    return path


def build(bench: Bench, path: Path, export: str) -> dict[str, Any]:
    out = bench.directory / "out"
    words = ["--store", bench.store, "--libdir", bench.library, "--output-directory", out, "--export", export]
    done = bench.run(*words, "--json", path, program=OSBUILD)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_the_assembler_gets_the_tree(bench: Bench) -> None:
    path = manifest(bench, {"name": "org.osbuild.tar", "options": {"filename": "tree.tar"}})
    document = build(bench, path, "assembler")
    with tarfile.open(bench.directory / "out/assembler/tree.tar") as archive:
        assert {"./etc/hostname"} <= set(archive.getnames())
    assert document["success"]
    assert bench.leftovers() == []


def test_a_failing_assembler_fails_the_build(bench: Bench) -> None:
    path = manifest(bench, {"name": "org.osbuild.error", "options": {"returncode": 3}})
    words = ["--store", bench.store, "--libdir", bench.library, "--output-directory", bench.directory / "out"]
    done = bench.run(*words, "--export", "assembler", "--json", path, program=OSBUILD)
    assert done.returncode == 1
    assert not json.loads(done.stdout)["success"]
    assert bench.leftovers() == []


def test_a_disk_is_assembled_with_loop_devices(bench: Bench) -> None:
    options = {
        "format": "raw",
        "filename": "disk.img",
        "ptuuid": "0x14fc63d2",
        "size": 64 << 20,
        "root_fs_uuid": "76a22bf4-f153-4541-b6c7-0332c0dfaeac",
        "bootloader": {"type": "grub2"},
    }
    path = manifest(bench, {"name": "org.osbuild.qemu", "options": options})
    # There is no /boot/grub in this tree: the prefix is worked out from the partitions alone.
    build(bench, path, "assembler")
    assert (bench.directory / "out/assembler/disk.img").stat().st_size == 64 << 20
    assert bench.leftovers() == []
