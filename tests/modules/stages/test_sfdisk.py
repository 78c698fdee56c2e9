from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .raw import loop, run_raw, sparse

pytestmark = pytest.mark.root

DISK = "D209C89E-EA5E-4FBD-B161-B461CCE297E0"
BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"
LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"


def write_table(tree: Path, options: dict[str, object]) -> dict[str, Any]:
    """Write a table to an image of 64 MiB and return what is on it."""
    image = sparse(tree / "disk.img", 64 << 20)
    with loop(image) as device:
        ended = run_raw("sfdisk", tree, options, device=device)
    assert ended.status == 0, ended.log
    shown = subprocess.run(["sfdisk", "--json", str(image)], capture_output=True, check=True).stdout
    table: dict[str, Any] = json.loads(shown)["partitiontable"]
    return table


def test_gpt(tree: Path) -> None:
    uuid = "6264D520-3FB9-423F-8AB8-7A0A8E3D3562"
    table = write_table(
        tree,
        {
            "label": "gpt",
            "uuid": DISK,
            "partitions": [
                {"start": 2048, "size": 2048, "type": BIOS_BOOT, "bootable": True},
                {"start": 4096, "type": LINUX, "uuid": uuid, "name": "root", "attrs": [0, 2, 59]},
            ],
        },
    )
    assert (table["label"], table["id"]) == ("gpt", DISK)
    first, second = table["partitions"]
    assert (first["start"], first["size"], first["type"]) == (2048, 2048, BIOS_BOOT)
    assert (second["start"], second["uuid"]) == (4096, uuid)
    # What is left, in steps of 1 MiB.
    assert (second["start"] + second["size"]) % 2048 == 0
    assert second["size"] > 60 << 11
    assert set(second["attrs"].replace("GUID:", "").split()) == {
        "RequiredPartition",
        "LegacyBIOSBootable",
        "59",
    }


@pytest.mark.parametrize("name", ["one, two", 'say "root"', "back\\slash", "ümlaut"])
def test_names(tree: Path, name: str) -> None:
    partition = {"start": 2048, "size": 2048, "type": LINUX, "name": name}
    table = write_table(tree, {"label": "gpt", "uuid": DISK, "partitions": [partition]})
    shown = table["partitions"][0]["name"]
    assert re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match.group(1), 16)), shown) == name


@pytest.mark.parametrize("label", ["dos", "mbr"])
def test_mbr(tree: Path, label: str) -> None:
    partitions = [{"start": 2048, "size": 4096, "type": "83", "bootable": True}]
    table = write_table(tree, {"label": label, "uuid": "0x14fc63d2", "partitions": partitions})
    assert (table["label"], table["id"]) == ("dos", "0x14fc63d2")
    assert table["partitions"][0]["bootable"] is True
    assert table["partitions"][0]["type"] == "83"


def test_numbers_of_partitions(tree: Path) -> None:
    partitions = [{"start": 2048, "size": 2048, "type": LINUX, "partnum": 3}]
    table = write_table(tree, {"label": "gpt", "uuid": DISK, "partitions": partitions})
    assert table["partitions"][0]["node"].endswith("3")


def test_a_partition_beyond_the_end_is_refused(tree: Path) -> None:
    image = sparse(tree / "disk.img", 64 << 20)
    partitions = [{"start": 1 << 30, "size": 2048, "type": LINUX}]
    with loop(image) as device:
        ended = run_raw(
            "sfdisk", tree, {"label": "gpt", "uuid": DISK, "partitions": partitions}, device=device
        )
    assert ended.status != 0
    assert "Traceback" not in ended.log
