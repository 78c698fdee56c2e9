"""A library that brings its own ``osbuild`` has its modules import that, in the sandbox and beside it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.integration.engine.conftest import OSBUILD_CORE
from tests.integration.foreign.conftest import Appliance, motd, notes

pytestmark = pytest.mark.root

STAGE = """#!/usr/bin/python3
import sys
import osbuild.api
import osbuild

with osbuild.api.exception_handler():
    args = osbuild.api.arguments()
    if args["options"].get("fail"):
        raise KeyError("missing")
    with open(args["tree"] + "/version", "w") as f:
        f.write(args["appliance"] + " " + osbuild.VERSION)
    osbuild.api.metadata({"from": osbuild.__file__})
"""
ANYTHING = {"options": {"additionalProperties": True}}
RUNNER = '#!/bin/sh\nexec "$@"\n'


def own(appliance: Appliance) -> Appliance:
    """Give the library its package, a stage on it, and a runner that needs nothing."""
    appliance.bring_package()
    appliance.add("stages/org.example.own", STAGE, ANYTHING)
    appliance.add("runners/org.osbuild.linux", RUNNER)
    return appliance


def test_modules_import_the_librarys_own_package(appliance: Appliance) -> None:
    own(appliance)
    reader = (
        "#!/usr/bin/python3\nimport sys\nfrom osbuild import api\nsys.exit('osbuild.util' in sys.modules)\n"
    )
    appliance.add("stages/org.example.look", reader, ANYTHING)
    document = appliance.result(appliance.stages({"type": "org.example.own"}, {"type": "org.example.look"}))
    assert appliance.read("version") == "4 4"
    assert document["metadata"]["os"]["org.example.own"] == {"from": "/run/osbuild/lib/osbuild/__init__.py"}


def test_services_import_it_too(appliance: Appliance) -> None:
    own(appliance)
    stage = "#!/bin/sh\ncat /run/osbuild/inputs/notes/* > /run/osbuild/tree/all\n"
    schema = {"options": {}, "inputs": {"additionalProperties": True}}
    appliance.add("stages/org.example.cat", stage, schema)
    # Instead of the one that needs more than the package has.
    appliance.add(
        "sources/org.example.text",
        "#!/usr/bin/python3\n"
        '"""Texts"""\n'
        "import json, os, socket, sys\n"
        "import osbuild\n"
        "sock = socket.socket(fileno=int(sys.argv[sys.argv.index('--service-fd') + 1]))\n"
        "print('appliance', osbuild.VERSION, os.environ['PYTHONPATH'])\n"
        "while True:\n"
        "    packet = sock.recv(1 << 20)\n"
        "    if not packet: sys.exit(0)\n"
        "    args = json.loads(packet)['data']['args']\n"
        "    folder = os.path.join(args['cache'], 'org.example.text')\n"
        "    os.makedirs(folder, exist_ok=True)\n"
        "    for checksum, item in args['items'].items():\n"
        "        open(os.path.join(folder, checksum), 'w').write(item['text'])\n"
        "    sock.send(json.dumps({'type': 'reply', 'data': {'reply': None}}).encode())\n",
    )
    manifest = appliance.stages({"type": "org.example.cat", "inputs": notes("x")["inputs"]})
    log = appliance.log_of(manifest)
    assert "input/notes (org.example.texts): appliance service org.example.texts\n" in log
    assert appliance.read("all") == "what is new\n"


def test_the_store_is_found_by_clients_that_know_nothing_of_long_paths(tmp_path: Path) -> None:
    place = tmp_path / ("directory-with-a-long-name" * 4)
    place.mkdir()
    appliance = Appliance(place)
    test_services_import_it_too(appliance)


def test_an_exception_is_reported_as_the_package_says_it(appliance: Appliance) -> None:
    own(appliance)
    done = appliance.osbuild(
        appliance.stages({"type": "org.example.own", "options": {"fail": True}}), "--json"
    )
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]["details"]["stage"]["error"]
    assert (error["type"], error["data"]["type"], error["data"]["value"]) == (
        "exception",
        "ApplianceKeyError",
        "'missing'",
    )


@pytest.mark.parametrize("package", ["absent", "empty", "hidden files only"])
def test_a_library_without_a_package_gets_ours(appliance: Appliance, package: str) -> None:
    if package != "absent":
        (appliance.library / "osbuild").mkdir()
    if package == "hidden files only":
        (appliance.library / "osbuild" / ".gitkeep").touch()
        (appliance.library / "osbuild" / "__pycache__").mkdir()
    appliance.result(appliance.stages(motd(), notes("tree:///")))
    assert appliance.read("etc/motd") == "appliance: hello\n"


def test_a_change_of_the_package_builds_all_again(appliance: Appliance) -> None:
    own(appliance)
    manifest = appliance.stages({"type": "org.example.own"})

    def ran() -> bool:
        return bool(appliance.result(manifest)["log"].get("os"))

    assert ran()
    assert not ran()
    (appliance.library / "osbuild" / "__init__.py").write_text('VERSION = "5"\n')
    assert ran()
    assert appliance.read("version") == "5 5"
    # What is not Python is part of it, too; what Python makes of it is not.
    (appliance.library / "osbuild" / "__pycache__").mkdir(exist_ok=True)
    (appliance.library / "osbuild" / "__pycache__" / "x.pyc").touch()
    assert not ran()
    (appliance.library / "osbuild" / "table.json").write_text("{}")
    assert ran()


def test_stages_of_other_libraries_keep_their_own_package(appliance: Appliance) -> None:
    """osbuild-core has its own library behind those of --libdir, and others may be between."""
    own(appliance)
    place = appliance.directory / "other"
    place.mkdir()
    other = Appliance(place)
    stages = [
        {"type": "org.example.own"},
        {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/made"}]}},
        motd(),
        {"type": "org.example.own"},
    ]
    (appliance.library / "stages" / "org.example.motd").unlink()
    manifest = appliance.manifest({"name": "os", "stages": stages}, sources={})
    command = [OSBUILD_CORE, "build", "--store", appliance.store, "--libdir", appliance.library]
    command += ["--libdir", other.library, "--output-directory", appliance.output, "--export", "os", manifest]
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, env=appliance.environment
    )
    assert done.returncode == 0, done.stderr
    assert appliance.read("version") == "4 4"
    assert (appliance.output / "os" / "made").is_dir()
    assert appliance.read("etc/motd") == "appliance: hello\n"
