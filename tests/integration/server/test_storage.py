"""Composes in S3: what is seen of them and when, what is left behind, and what happens where S3 does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.emulator.aws.client import Emulator
from tests.emulator.rabbitmq import Broker
from tests.integration.server import test_compose_api as api
from tests.integration.server import test_page as pages
from tests.integration.server.running import Form, Service, grown, service, until

pytestmark = pytest.mark.xdist_group("rabbitmq")


@pytest.fixture(scope="module")
def served(form: Form, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("stored"), form=form) as found:
        yield found


@pytest.mark.parametrize(
    "check",
    [
        api.test_a_compose_from_request_to_files,
        api.test_a_failed_compose_tells_why_and_has_a_log,
        api.test_a_log_is_read_from_where_one_was,
        pages.test_a_compose,
    ],
    ids=lambda check: check.__name__,
)
def test_the_same_as_in_a_directory(served: Service, check: Any) -> None:
    check(served)


def paths(served: Service, id: int) -> set[str]:
    """Return the paths of what is in storage of a compose, with the attempt."""
    assert served.form is not None
    return {key.removeprefix(f"odcs-{id}.") for key in served.form.keys(f"odcs-{id}.")}


def test_links_out_of_a_compose_lead_nowhere(served: Service) -> None:
    """Who makes a compose may be nobody, and who brings it into storage is root."""
    id = served.create("slow-3", flags=["no_reuse"])["id"]
    log = f"/composes/odcs-{id}/pungi-stderr.log"
    until(lambda: served.get(log).status_code, lambda status: status == 200)
    here = served.data / "composes" / f"odcs-{id}"
    (here / "passwd.log").symlink_to("/etc/passwd")
    (here / "etc").symlink_to("/etc")
    (here / "inner.log").symlink_to("pungi-stderr.log")
    until(lambda: served.get(f"/composes/odcs-{id}/inner.log").status_code, lambda status: status == 200)
    assert served.wait(id)["state_name"] == "done"
    assert served.get(f"/composes/odcs-{id}/inner.log").status_code == 200
    for path in ("passwd.log", "etc/passwd"):
        assert served.get(f"/composes/odcs-{id}/{path}").status_code == 404, path
    assert not any("passwd" in path for path in paths(served, id))


def test_one_attempt_counts_and_the_others_go(served: Service, form: Form) -> None:
    id = served.create("slow-2", flags=["no_reuse"])["id"]
    log = f"/composes/odcs-{id}/pungi-stderr.log"
    until(lambda: served.get(log).status_code, lambda status: status == 200)
    repo = f"odcs-{id}/compose/Temporary/odcs-{id}.repo"
    # What a worker that lost its lease puts there late, and one that is only at it.
    (current,) = {path.partition("/")[0] for path in paths(served, id)}
    s3 = form.emulator.boto("s3")
    for attempt in ("0.1", current):
        s3.put_object(
            Bucket=form.bucket,
            Key=f"composes/odcs-{id}.{attempt}/compose/Temporary/odcs-{id}.repo",
            Body=b"not committed",
        )
    upload = s3.create_multipart_upload(Bucket=form.bucket, Key=f"composes/odcs-{id}.0.1/big")["UploadId"]
    assert served.get(f"/composes/{repo}").status_code == 404
    done = served.wait(id)
    assert done["state_name"] == "done"
    assert served.session.get(done["result_repofile"]).text.startswith(f"[odcs-{id}]")
    until(
        lambda: {path.partition("/")[0] for path in paths(served, id)},
        lambda found: found == {current},
    )
    open_uploads = s3.list_multipart_uploads(Bucket=form.bucket).get("Uploads", [])
    assert upload not in [one["UploadId"] for one in open_uploads]
    # Nothing stays on the worker's machine.
    until((served.data / "composes" / f"odcs-{id}").exists, lambda there: not there)


def test_what_the_database_does_not_know_is_left_alone(served: Service, form: Form) -> None:
    key = "composes/odcs-999999.1.1/theirs"
    form.emulator.boto("s3").put_object(Bucket=form.bucket, Key=key, Body=b"of another service")
    id = served.wait(served.create("swept")["id"])["id"]
    served.delete(f"/api/1/composes/{id}")
    served.wait(id, "removed")
    until(lambda: served.has_files(id), lambda there: not there)
    assert served.form is not None
    assert served.form.keys("odcs-999999.") == ["odcs-999999.1.1/theirs"]
    assert served.get("/composes/odcs-999999/theirs").status_code == 404
    assert served.get("/composes/odcs-999999.1.1/theirs").status_code == 404


def test_links_lead_nowhere_else(served: Service, form: Form) -> None:
    id = served.wait(served.create("secret")["id"])["id"]
    there = paths(served, id)
    assert not [path for path in there if "passwd" in path or "/up" in path or "/round" in path]
    assert {path.rpartition("/Temporary/")[2] for path in there} >= {"i686/there", "i386/there"}
    assert served.get(f"/composes/odcs-{id}/compose/Temporary/i386/there").text == "there\n"
    for path in ("/passwd", "//x", "/../x", f"/../odcs-{id}/pungi-stderr.log", "/" + "a/" * 3000):
        reply = api.raw(served, f"/composes/odcs-{id}/compose/Temporary{path}")
        assert b" 404 " in reply.split(b"\r\n")[0] or b" 400 " in reply.split(b"\r\n")[0], reply[:200]


def test_a_storage_that_does_not_answer(served: Service, form: Form) -> None:
    stored = served.wait(served.create("kept")["id"])
    form.emulator.settings(
        rules=[{"error": "AccessDenied", "service": "s3", "action": "PutObject", "times": 1}]
    )
    try:
        refused = served.wait(served.create("denied")["id"])
        assert refused["state_name"] == "failed"
        assert "cannot write to the bucket" in refused["state_reason"]
    finally:
        form.emulator.settings(rules=[])
    form.emulator.settings(
        rules=[{"error": "AccessDenied", "service": "s3", "action": "HeadObject", "times": 1}]
    )
    try:
        reply = served.session.get(stored["result_repofile"])
        assert reply.status_code == 503
        assert "Retry-After" in reply.headers
        assert form.environment["AWS_SECRET_ACCESS_KEY"] not in reply.text
    finally:
        form.emulator.settings(rules=[])
    assert served.session.get(stored["result_repofile"]).status_code == 200


def test_clients_are_sent_to_the_storage(form: Form, tmp_path: Any) -> None:
    with service(tmp_path, {"storage": {"redirect": True}}, form=form) as served:
        done = served.wait(served.create("sent-away", flags=["no_reuse"])["id"])
        reply = served.session.get(done["result_repofile"], allow_redirects=False)
        assert reply.status_code == 307
        assert reply.headers["location"].startswith(form.emulator.url)
        assert reply.headers["cache-control"] == "no-store"
        assert served.session.get(done["result_repofile"] + "x").status_code == 404
        # But not for logs, which the page reads from us.
        log = served.get(f"/composes/odcs-{done['id']}/pungi-stderr.log", allow_redirects=False)
        assert log.status_code == 200
        followed = requests.get(done["result_repofile"], headers={"Range": "bytes=0-5"}, timeout=30)
        assert (followed.status_code, followed.text) == (206, "[odcs-")


@pytest.mark.soak
def test_what_was_made_before_stays_in_its_directory(
    postgres: str, rabbit: Broker, bucket_emulator: Emulator, tmp_path: Any
) -> None:
    # Of its own, as workers of the others would put it into storage.
    form = grown(postgres, rabbit, bucket_emulator)
    settings = {"database": form.database, "broker": form.broker}
    with service(tmp_path, settings, "--migrate") as served:
        before = served.wait(served.create("before", flags=["no_reuse"])["id"])
    with service(tmp_path, form=form) as served:
        # Long enough for maintenance.
        after = served.wait(served.create("slow-1", flags=["no_reuse"])["id"])
        for id in (before["id"], after["id"]):
            path = f"/composes/odcs-{id}/compose/Temporary/odcs-{id}.repo"
            assert served.get(path).text.startswith(f"[odcs-{id}]")
        directory = served.data / "composes" / f"odcs-{before['id']}"
        assert directory.exists()
        assert paths(served, before["id"]) == set()
        served.delete(f"/api/1/composes/{before['id']}")
        until(directory.exists, lambda there: not there)
