"""A library of somebody else's builds what it builds with osbuild."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from tests.integration.foreign.conftest import CHECKSUM, HALF, NOTE, SOURCES, Appliance, motd, notes

pytestmark = pytest.mark.root

RELEASE = {"type": "org.example.release", "options": {"version": "4.2"}}
NOISE = "appliance runner: warning: no seat found\n"


def halves(**mounts: int) -> dict[str, object]:
    """Return the devices and mounts of a stage that works on halves of a disk."""
    devices = {
        f"{name}-dev": {"type": "org.example.part", "options": {"filename": "disk.img", "half": n}}
        for name, n in mounts.items()
    }
    return {
        "devices": devices,
        "mounts": [
            {"name": name, "type": "org.example.ext", "source": f"{name}-dev", "target": f"/{name}"}
            for name in mounts
        ],
    }


@pytest.mark.parametrize("face", ["osbuild", "core"])
def test_a_tree(appliance: Appliance, face: str) -> None:
    manifest = appliance.stages(
        motd("one\ntwo"), RELEASE, notes("tree:///usr/share/notes"), **{"source-epoch": 7}
    )
    done = getattr(appliance, face)(manifest)
    assert done.returncode == 0, done.stdout + done.stderr
    assert appliance.read("etc/motd") == "appliance: one\nappliance: two\n"
    assert appliance.read("etc/appliance-release") == "VERSION=4.2\nEPOCH=7\n"
    assert appliance.read("usr/share/notes/NEWS") == NOTE
    assert appliance.leftovers() == []


def test_what_a_build_says_of_itself(appliance: Appliance) -> None:
    document = appliance.result(appliance.stages(motd(), RELEASE, notes("tree:///notes")))
    assert document["metadata"] == {
        "os": {
            "org.example.release": {"version": "4.2"},
            "org.example.notes": {"notes": {"NEWS": hashlib.sha256(NOTE.encode()).hexdigest()}},
        }
    }
    assert appliance.output_of(document, "org.example.motd") == NOISE
    assert appliance.output_of(document, "org.example.release") == NOISE + "release 4.2\n"
    # What services print is in the log, and not in the output of the stage.
    assert appliance.output_of(document, "org.example.notes") == NOISE
    again = appliance.result(appliance.stages(motd(), RELEASE, notes("tree:///notes")))
    assert again["metadata"] == document["metadata"]


def test_a_disk_with_devices_mounts_and_loops(appliance: Appliance, tmp_path: Path) -> None:
    manifest = appliance.stages(
        {"type": "org.example.disk", "options": {"filename": "disk.img", "size": 2 * HALF}},
        notes("mount://one/notes", **halves(one=0, two=1)),
        notes("mount://two/", **halves(two=1)),
    )
    assert "device/two-dev (org.example.part): half 1 is loop" in appliance.log_of(manifest)
    disk = appliance.output / "os" / "disk.img"
    assert disk.stat().st_size == 2 * HALF
    for half, label, path in ((0, "one", "/notes/NEWS"), (1, "two", "/NEWS")):
        part = tmp_path / label
        part.write_bytes(disk.read_bytes()[half * HALF : (half + 1) * HALF])
        shown = subprocess.run(
            ["debugfs", "-R", f"cat {path}", part], capture_output=True, text=True, check=True
        )
        assert shown.stdout == NOTE
        named = subprocess.run(["e2label", part], capture_output=True, text=True, check=True)
        assert named.stdout.strip() == label
    assert appliance.leftovers() == []


def test_a_service_in_another_language(appliance: Appliance) -> None:
    def lines(number: int) -> dict[str, object]:
        given = {
            "type": "org.example.generated",
            "origin": "org.osbuild.source",
            "references": {},
            "options": {"lines": number},
        }
        return {"type": "org.example.notes", "inputs": {"notes": given}, "options": {"to": "tree:///"}}

    log = appliance.log_of(appliance.stages(lines(3)))
    assert appliance.read("lines.txt") == "line 1\nline 2\nline 3\n"
    label = "input/notes (org.example.generated): "
    assert log.startswith(f"{label}input/notes answers\n")
    assert log.endswith(f"{label}done\n")
    assert appliance.error(appliance.stages(lines(2000))) == (
        "service.failed",
        "input/notes (org.example.generated): so many lines: 2000",
    )


def test_options_are_held_against_the_schemas_of_the_library(appliance: Appliance) -> None:
    wrong = appliance.stages(
        {"type": "org.example.motd", "options": {"text": "x", "colour": "red"}},
        {"type": "org.example.release", "options": {"version": "four"}},
        {"type": "org.example.motd", "options": {"text": "x"}, "inputs": {}},
        notes("https://example.org/"),
    )
    done = appliance.osbuild(wrong, "--json")
    assert done.returncode == 2
    places = sorted(tuple(error["path"][:4]) for error in json.loads(done.stdout)["errors"])
    assert places == [("pipelines", 0, "stages", n) for n in range(4)]


def test_the_ids_are_osbuilds(appliance: Appliance) -> None:
    """What the tools of such a library look up in the result of ``--inspect``."""
    done = appliance.osbuild(appliance.stages(motd("x")), "--inspect")
    assert done.returncode == 0, done.stderr
    text = "".join(
        json.dumps(part, sort_keys=True) for part in ("org.example.motd", None, None, {"text": "x"})
    )
    (stage,) = json.loads(done.stdout)["pipelines"][0]["stages"]
    assert stage["id"] == hashlib.sha256(text.encode()).hexdigest()


def test_editing_a_module_builds_what_it_made_again(appliance: Appliance) -> None:
    manifest = appliance.stages(motd(), RELEASE)

    def ran() -> list[str]:
        return [entry["type"] for entry in appliance.result(manifest)["log"].get("os", [])]

    assert ran() == ["org.example.motd", "org.example.release"]
    assert ran() == []
    release = appliance.library / "stages" / "org.example.release"
    release.write_text(release.read_text().replace("VERSION=", "RELEASE="))
    assert ran() == ["org.example.release"]
    assert appliance.read("etc/appliance-release").startswith("RELEASE=4.2")
    runner = appliance.library / "runners" / "org.osbuild.linux"
    runner.write_text(runner.read_text() + "\n")
    assert ran() == ["org.example.motd", "org.example.release"]


def test_a_source_of_an_old_style_that_fails(appliance: Appliance) -> None:
    manifest = appliance.stages(notes("tree:///"))
    document = json.loads(manifest.read_text())
    document["sources"]["org.example.text"]["items"][CHECKSUM]["text"] = "another text"
    manifest.write_text(json.dumps(document))
    done = appliance.osbuild(manifest, "--json")
    assert done.returncode == 1
    error = json.loads(done.stdout)
    assert error["error"]["type"] == "org.osbuild.error.source"
    assert f"the text of {CHECKSUM} is another one" in done.stdout
    assert SOURCES["org.example.text"]["items"][CHECKSUM] == {"text": NOTE}
