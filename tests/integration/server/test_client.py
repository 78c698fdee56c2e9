"""Our own client: the class that programs use and the command line."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from osbuild_core.exports.compose import client
from osbuild_core.exports.compose.client import ODCS, AuthMech, ServerError
from tests.integration.server.running import PROGRAM, Service, service


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("client"), {"queue": {"slots": 2}}) as found:
        yield found


def test_the_class_through_the_life_of_a_compose(served: Service) -> None:
    odcs = ODCS(served.url, auth_mech=AuthMech.Anonymous)
    assert odcs.about()["auth_backend"] == "noauth"
    asked = odcs.new_compose(
        "f32",
        "tag",
        seconds_to_live=600,
        packages=["ed"],
        flags=["no_deps"],
        sigkeys=["123", ""],
        builds=["ed-1.0-1"],
        koji_event=5,
        label="class",
    )
    assert asked["state_name"] == "wait"
    assert (asked["sigkeys"], asked["builds"], asked["koji_event"]) == ("123 ", "ed-1.0-1", 5)
    done = odcs.wait_for_compose(asked["id"], timeout=60)
    assert done["state_name"] == "done"
    assert odcs.repo(done).startswith("[odcs-")
    assert [found["id"] for found in odcs.composes(label="class", per_page=1)] == [asked["id"]]
    assert odcs.renew_compose(asked["id"], 7000)["id"] == asked["id"]
    assert odcs.delete_compose(asked["id"])["status"] == 202
    assert odcs.get_compose(asked["id"])["removed_by"] == "anonymous"


def test_every_kind_of_source(served: Service) -> None:
    odcs = ODCS(served.url + "/")
    sources = [
        client.ComposeSourceRepo("http://packages.test/kinds", packages=["ed"]),
        client.ComposeSourceTag("f32", packages=["ed"], sigkeys=["123"]),
        client.ComposeSourceModule(["testmodule:rawhide"]),
        client.ComposeSourcePulp(["base"]),
        client.ComposeSourceRawConfig("nightly", "abc"),
        client.ComposeSourceBuild(["ed-1.0-1"]),
        client.ComposeSourceGeneric("http://packages.test/compose/Server/", "pungi_compose"),
    ]
    made = [odcs.request_compose(source, seconds_to_live=600, label=None) for source in sources]
    assert [compose["source_type"] for compose in made] == [3, 1, 2, 4, 5, 6, 7]
    assert {odcs.wait_for_compose(compose["id"])["state_name"] for compose in made} == {"done"}


def test_waiting_shows_the_log_and_ends(served: Service) -> None:
    odcs = ODCS(served.url)
    asked = odcs.new_compose("http://packages.test/slow-1", "repo")
    with pytest.raises(RuntimeError, match="not done"):
        odcs.wait_for_compose(asked["id"], timeout=0)
    log = io.StringIO()
    odcs.wait_for_compose(asked["id"], timeout=60, watch_logs=True, output=log)
    file = served.data / "composes" / f"odcs-{asked['id']}" / "pungi-stderr.log"
    assert log.getvalue() == file.read_text()


def test_what_goes_wrong_is_told(served: Service) -> None:
    odcs = ODCS(served.url)
    with pytest.raises(ServerError) as missing:
        odcs.get_compose(99999)
    assert (missing.value.status, missing.value.code) == (404, "compose.refused")
    with pytest.raises(ServerError) as refused:
        odcs.new_compose("f32", "nope")
    assert 'Unknown source type "nope"' in refused.value.detail
    with pytest.raises(ServerError) as nobody:
        ODCS("http://127.0.0.1:9").about()
    assert (nobody.value.status, nobody.value.retryable) == (None, True)
    for wrong in ({"auth_mech": 99}, {"auth_mech": AuthMech.OpenIDC}, {"auth_mech": AuthMech.SSL}):
        with pytest.raises(ValueError, match=r"mechanism|needs"):
            ODCS(served.url, **wrong)


def run(served: Service, *arguments: str, status: int = 0, **environment: str) -> str:
    done = subprocess.run(
        [str(PROGRAM), "compose", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OSBUILD_CORE_SERVER": served.url, **environment},
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if status in (0, 1) and done.stdout else done.stderr


def test_the_command_line(served: Service, tmp_path: Path) -> None:
    printed = run(
        served,
        "create",
        "repo",
        "http://packages.test/cli",
        "-p",
        "ed",
        "--flag",
        "no_deps",
        "--label",
        "cli",
    )
    id = printed.split()[1].rstrip(":")
    assert f"compose {id}: done" in printed
    assert f"/odcs-{id}.repo" in printed
    assert json.loads(run(served, "get", id, "--json"))["packages"] == "ed"
    assert run(served, "wait", id).startswith(f"compose {id}: done")
    assert run(served, "repo", id).startswith(f"[odcs-{id}]")
    run(served, "repo", id, "-o", str(tmp_path / "odcs.repo"))
    assert (tmp_path / "odcs.repo").read_text().startswith(f"[odcs-{id}]")
    assert run(served, "list", "--label", "cli", "--state", "done").split()[:2] == [id, "done"]
    assert f"compose {id}:" in run(served, "renew", id, "--seconds-to-live", "7200")
    assert "accepted" in run(served, "delete", id)
    waiting = json.loads(run(served, "create", "tag", "f32", "--no-wait", "--json"))
    assert waiting["state_name"] == "wait"
    served.wait(waiting["id"])


def test_the_status_of_the_command_line(served: Service) -> None:
    assert "package ed is missing" in run(served, "create", "repo", "http://packages.test/fail", status=1)
    assert "error: There is no compose 99999" in run(served, "get", "99999", status=1)
    assert "cannot be reached" in run(served, "list", status=1, OSBUILD_CORE_SERVER="http://127.0.0.1:9/")
    assert "no address" in run(served, "list", status=1, OSBUILD_CORE_SERVER="localhost")
    run(served, "create", "nope", "x", status=2)


def test_a_log_does_not_reach_the_terminal_as_it_is(served: Service) -> None:
    """Names of packages are from elsewhere, and so is what is in logs."""
    done = served.wait(served.create("escapes")["id"])
    log = served.data / "composes" / f"odcs-{done['id']}" / "pungi-stderr.log"
    log.write_text("one\x1b]0;title\x07\ntwo\x9b2J\n")
    shown = subprocess.run(
        [str(PROGRAM), "compose", "--server", served.url, "wait", str(done["id"]), "--watch"],
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 0, shown.stderr
    assert "one\ufffd]0;title\ufffd\ntwo\ufffd2J\n" in shown.stderr
