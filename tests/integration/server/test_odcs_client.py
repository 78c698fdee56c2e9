"""The client of ODCS 0.9.2, library and command line, through the life of composes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.emulator import odcs
from tests.emulator.awspub import cache_directory
from tests.integration.server.running import Service, service

CACHE = cache_directory()
"""Asked for now: tests have caches of their own."""

LIBRARY = """
import io, json, sys
from contextlib import redirect_stdout
from odcs.client.odcs import (
    ODCS, AuthMech, ComposeSourceBuild, ComposeSourceGeneric, ComposeSourceModule, ComposeSourcePulp,
    ComposeSourceRawConfig, ComposeSourceTag,
)

odcs = ODCS(sys.argv[1], auth_mech=AuthMech.Anonymous)
seen = {"about": odcs.about()}
tag = odcs.new_compose(
    "f32", "tag", seconds_to_live=600, packages=["ed"], flags=["no_deps"], sigkeys=["123", ""], results=["iso"],
    arches=["x86_64"], koji_event=5, lookaside_repos=["http://packages.test/more"],
)
seen["new"] = tag
seen["waited"] = odcs.wait_for_compose(tag["id"], timeout=60)
sources = {
    "generic": ComposeSourceGeneric("http://packages.test/repo", "repo"),
    "tag": ComposeSourceTag("f32-other", packages=["vi"]),
    "module": ComposeSourceModule(["testmodule:rawhide"]),
    "pulp": ComposeSourcePulp(["base"]),
    "raw_config": ComposeSourceRawConfig("nightly", "abcdef"),
    "build": ComposeSourceBuild(["ed-1.0-1.fc32"]),
}
for name, source in sources.items():
    made = odcs.request_compose(source, seconds_to_live=700, compose_type="test")
    seen[name] = odcs.wait_for_compose(made["id"], timeout=60)
slow = odcs.new_compose("http://packages.test/slow-2", "repo")
printed = io.StringIO()
with redirect_stdout(printed):
    seen["watched"] = odcs.wait_for_compose(slow["id"], timeout=60, watch_logs=True)
seen["log"] = printed.getvalue()
seen["renewed"] = odcs.renew_compose(tag["id"], seconds_to_live=7000)
seen["again"] = odcs.wait_for_compose(odcs.renew_compose(tag["id"], label="RC-2.0")["id"], timeout=60)
seen["found"] = odcs.find_composes(owner="unknown", state=2, page=1, per_page=3)
seen["deleted"] = odcs.delete_compose(tag["id"])
seen["got"] = odcs.get_compose(tag["id"])
try:
    odcs.get_compose(99999)
except Exception as error:
    seen["missing"] = error.response.status_code
json.dump(seen, sys.stdout)
"""


@pytest.fixture(scope="module")
def programs() -> Path:
    try:
        return odcs.installed(CACHE)
    except odcs.UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    # What is removed stays visible: cleaning up comes later.
    settings = {"queue": {"maintenance": 3600, "slots": 2}}
    with service(tmp_path_factory.mktemp("odcs"), settings) as found:
        yield found


@pytest.mark.soak
def test_the_library(programs: Path, served: Service, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(programs / "python"), "-c", LIBRARY, served.url + "/"],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert seen["about"]["auth_backend"] == "noauth"
    assert seen["new"]["state_name"] == "wait"
    assert (seen["new"]["sigkeys"], seen["new"]["koji_event"]) == ("123 ", 5)
    for name in ("waited", "generic", "tag", "module", "pulp", "raw_config", "build", "watched", "again"):
        assert seen[name]["state_name"] == "done", (name, seen[name])
    assert seen["raw_config"]["result_repofile"] == ""
    assert seen["build"]["builds"] == "ed-1.0-1.fc32"
    assert seen["module"]["source"] == "testmodule:rawhide"
    assert "still at it" in seen["log"]
    assert seen["renewed"]["id"] == seen["new"]["id"]
    assert seen["renewed"]["time_to_expire"] > seen["waited"]["time_to_expire"]
    assert seen["again"]["id"] != seen["new"]["id"]
    assert seen["again"]["label"] == "RC-2.0"
    assert seen["again"]["pungi_config_dump"] == seen["waited"]["pungi_config_dump"], "the same content"
    assert len(seen["found"]["items"]) == 3
    assert seen["deleted"]["status"] == 202
    assert seen["got"]["removed_by"] == "anonymous"
    assert seen["missing"] == 404


def odcs_cli(programs: Path, served: Service, home: Path, *arguments: str) -> tuple[int, str]:
    # "localhost" in the address is how the command line knows that there is no authentication.
    address = served.url.replace("127.0.0.1", "localhost") + "/"
    done = subprocess.run(
        [str(programs / "odcs"), "--server", address, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "HOME": str(home)},
    )
    return done.returncode, done.stdout


def last_document(printed: str) -> dict[str, Any]:
    """Return the JSON object at the end of what was printed."""
    start = printed.rindex("\n{\n") if "\n{\n" in printed else printed.index("{\n") - 1
    return json.loads(printed[start + 1 :])


@pytest.mark.parametrize(
    "arguments",
    [
        (
            "--watch",
            "create-tag",
            "f32",
            "cli-ed",
            "--flag",
            "no_deps",
            "--sigkey",
            "none",
            "--arch",
            "x86_64",
        ),
        ("create-module", "testmodule:rawhide"),
        ("create-pulp", "base", "--flag", "ignore_absent_pulp_repos"),
        ("create-raw-config", "nightly", "abcdef", "--label", "RC-1.0", "--compose-type", "nightly"),
        ("create-build", "ed-1.0-1.fc32"),
        ("create", "tag", "f32", "deprecated"),
    ],
    ids=lambda words: next(word for word in words if word.startswith("create")),
)
def test_a_command_that_makes_a_compose(
    programs: Path, served: Service, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    status, printed = odcs_cli(programs, served, tmp_path, *arguments)
    assert status == 0, printed
    assert last_document(printed)["state_name"] == "done"


def test_the_other_commands(programs: Path, served: Service, tmp_path: Path) -> None:
    status, printed = odcs_cli(programs, served, tmp_path, "--no-wait", "create-tag", "f32", "cli-other")
    assert status == 0, printed
    id = str(last_document(printed)["id"])
    for arguments in (
        ("--watch", "wait", id),
        ("renew", id, "--seconds-to-live", "7000"),
        ("get", id),
    ):
        status, printed = odcs_cli(programs, served, tmp_path, *arguments)
        assert status == 0, printed
        assert last_document(printed)["state_name"] == "done", printed
    status, printed = odcs_cli(programs, served, tmp_path, "delete", id)
    assert status == 0, printed
    assert served.compose(int(id))["removed_by"] == "anonymous"
    status, printed = odcs_cli(programs, served, tmp_path, "about")
    assert (status, last_document(printed)["auth_backend"]) == (0, "noauth")


def test_what_fails_is_told_by_the_status(programs: Path, served: Service, tmp_path: Path) -> None:
    served.create("fail", label="for-the-cli")
    reply = served.get("/api/1/composes/?label=for-the-cli").json()
    status, _ = odcs_cli(programs, served, tmp_path, "wait", str(reply["items"][0]["id"]))
    assert status == 1
    assert odcs_cli(programs, served, tmp_path, "get", "99999")[0] not in (0, 1)
