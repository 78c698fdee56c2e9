"""Composes from request to removal: reuse, renewal, cancellation, expiry, and who shares files with whom.

With everything in one directory, and the same on PostgreSQL, a broker and S3.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.server.running import Service, service, until

pytestmark = pytest.mark.xdist_group("rabbitmq")


@pytest.fixture(scope="module", params=["small", "grown"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    form = request.getfixturevalue("form") if request.param == "grown" else None
    with service(tmp_path_factory.mktemp("life"), {"queue": {"slots": 2}}, form=form) as found:
        yield found


def made(served: Service, what: str) -> list[int]:
    return [int(line.split()[0]) for line in served.made() if line.split()[1].endswith(f"/{what}")]


def test_the_same_request_is_served_by_what_is_there(served: Service) -> None:
    first = served.wait(served.create("shared", seconds_to_live=1000)["id"])
    again = served.wait(served.create("shared", seconds_to_live=5000, label="other")["id"])
    assert again["id"] != first["id"]
    assert again["toplevel_url"] == first["toplevel_url"]
    assert again["result_repofile"] == first["result_repofile"]
    assert not served.has_files(again["id"])
    assert made(served, "shared") == [first["id"]]
    # Both live as long as the one that lives longer.
    assert served.compose(first["id"])["time_to_expire"] == again["time_to_expire"]
    other = served.wait(served.create("shared", flags=["no_reuse"])["id"])
    assert made(served, "shared") == [first["id"], other["id"]]


def test_one_that_is_being_made_serves_as_well(served: Service) -> None:
    ids = [served.create("slow-0.7")["id"] for _ in range(6)]
    states = [served.wait(id) for id in ids]
    assert {compose["state_name"] for compose in states} == {"done"}
    assert len({compose["toplevel_url"] for compose in states}) == 1
    assert made(served, "slow-0.7") == [ids[0]]


def test_followers_fail_with_the_one_that_they_follow(served: Service) -> None:
    ids = [served.create("fail")["id"] for _ in range(3)]
    reasons = {served.wait(id)["state_reason"] for id in ids}
    assert reasons == {"package ed is missing"}


def test_a_renewed_compose_lives_longer_and_never_shorter(served: Service) -> None:
    first = served.wait(served.create("renewed", seconds_to_live=1000)["id"])
    sharing = served.wait(served.create("renewed")["id"])
    longer = served.patch(f"/api/1/composes/{first['id']}", {"seconds_to_live": 2 * 24 * 3600}).json()
    assert longer["id"] == first["id"]
    assert longer["time_to_expire"] > sharing["time_to_expire"]
    assert served.compose(sharing["id"])["time_to_expire"] == longer["time_to_expire"]
    shorter = served.patch(f"/api/1/composes/{first['id']}", {"seconds_to_live": 60}).json()
    assert shorter["time_to_expire"] == longer["time_to_expire"]
    # As the client does it: without a body.
    assert served.call("PATCH", f"/api/1/composes/{first['id']}").json()["id"] == first["id"]


def test_a_label_or_other_content_make_a_new_compose(served: Service) -> None:
    first = served.wait(served.create("labelled")["id"])
    labelled = served.patch(f"/api/1/composes/{first['id']}", {"label": "RC-1.0"}).json()
    assert labelled["id"] != first["id"]
    done = served.wait(labelled["id"])
    assert done["respin_of"] == first["pungi_compose_id"]
    assert done["pungi_config_dump"] == first["pungi_config_dump"]
    assert done["koji_event"] == first["koji_event"]
    other = served.patch(f"/api/1/composes/{first['id']}", {"source": {"builds": ["ed-1.0-1"]}}).json()
    assert served.wait(other["id"])["builds"] == "ed-1.0-1"


def test_what_is_not_finished_is_not_renewed(served: Service) -> None:
    id = served.create("slow-1")["id"]
    assert served.patch(f"/api/1/composes/{id}", {}).status_code == 404
    served.wait(id)
    assert served.patch(f"/api/1/composes/{id}", {"label": {"a": 1}}).status_code == 400


def test_a_removed_compose_is_gone_and_can_be_made_again(served: Service) -> None:
    first = served.wait(served.create("gone")["id"])
    assert served.has_files(first["id"])
    reply = served.delete(f"/api/1/composes/{first['id']}")
    assert (reply.status_code, reply.json()["status"]) == (202, 202)
    removed = served.wait(first["id"], "removed")
    assert (removed["removed_by"], removed["state"]) == ("anonymous", 3)
    assert "Removed by anonymous." in removed["state_reason"]
    assert removed["time_removed"] is not None
    until(lambda: served.has_files(first["id"]), lambda there: not there)
    assert served.delete(f"/api/1/composes/{first['id']}").status_code == 400
    again = served.patch(f"/api/1/composes/{first['id']}", {}).json()
    assert again["id"] != first["id"]
    assert served.wait(again["id"])["pungi_config_dump"] == first["pungi_config_dump"]


def test_one_that_shared_files_can_be_made_again(served: Service) -> None:
    first = served.wait(served.create("borrowed")["id"])
    borrower = served.wait(served.create("borrowed")["id"])
    assert borrower["toplevel_url"] == first["toplevel_url"]
    assert borrower["pungi_config_dump"] == first["pungi_config_dump"] is not None
    for id in (first["id"], borrower["id"]):
        served.delete(f"/api/1/composes/{id}")
        served.wait(id, "removed")
    again = served.wait(served.patch(f"/api/1/composes/{borrower['id']}", {}).json()["id"])
    assert again["pungi_config_dump"] == first["pungi_config_dump"]


def test_a_source_that_changes_meanwhile_is_looked_at_again(served: Service) -> None:
    first = served.create("updated")["id"]
    served.wait(first, "generating")
    follower = served.create("updated")["id"]
    until(lambda: served.compose(follower), lambda found: found["toplevel_url"].endswith(f"-{first}"))
    assert served.compose(follower)["koji_event"] == 7
    for id in (first, follower):
        done = served.wait(id)
        assert (done["state_name"], done["koji_event"]) == ("done", 8), done["state_reason"]
    assert made(served, "updated") == [first]


def test_a_source_that_is_not_there_is_in_the_log(served: Service) -> None:
    failed = served.wait(served.create("unknown")["id"])
    log = served.session.get(failed["toplevel_url"] + "/pungi-stderr.log")
    assert log.status_code == 200
    assert "ERROR: http://packages.test/unknown is not there" in log.text


def test_the_latest_of_its_kind_stays_until_there_is_a_later_one(served: Service) -> None:
    first = served.create("nightly#abc", type="raw_config", seconds_to_live=0)
    if served.form is not None:
        # Storage has no links, so it goes at once.
        served.wait(first["id"], "removed")
        return
    served.wait(first["id"])
    assert (served.data / "composes/test/latest-nightly/compose").is_dir()
    # Long enough for several rounds of maintenance.
    served.wait(served.create("slow-1.2", flags=["no_reuse"])["id"])
    assert served.compose(first["id"])["state_name"] == "done"
    second = served.wait(served.create("nightly#abc", type="raw_config")["id"])
    served.wait(first["id"], "removed")
    assert (served.data / "composes/test/latest-nightly").readlink().name == f"odcs-{second['id']}"
    served.delete(f"/api/1/composes/{second['id']}")
    served.wait(second["id"], "removed")
    until(lambda: list((served.data / "composes/test").iterdir()), lambda found: not found)


def test_files_that_are_shared_stay_until_the_last_one_goes(served: Service) -> None:
    first = served.wait(served.create("lent")["id"])
    borrower = served.wait(served.create("lent")["id"])
    served.delete(f"/api/1/composes/{first['id']}")
    served.wait(first["id"], "removed")
    # Long enough for several rounds of maintenance.
    marker = served.wait(served.create("slow-1.2")["id"])
    assert marker["state_name"] == "done"
    assert served.session.get(borrower["result_repofile"]).status_code == 200
    served.delete(f"/api/1/composes/{borrower['id']}")
    served.wait(borrower["id"], "removed")
    until(lambda: served.has_files(first["id"]), lambda there: not there)


def test_a_compose_expires_by_itself(served: Service) -> None:
    id = served.create("short-lived", seconds_to_live=1)["id"]
    removed = served.wait(id, "removed")
    assert removed["state_reason"].endswith("Compose is expired.")
    assert removed["removed_by"] is None
    until(lambda: served.has_files(id), lambda there: not there)


def test_cancelling_what_is_being_made_ends_its_process(served: Service) -> None:
    id = served.create("slow-50")["id"]
    log = f"/composes/odcs-{id}/pungi-stderr.log"
    until(lambda: served.get(log).status_code, lambda status: status == 200)
    assert served.delete(f"/api/1/composes/{id}").status_code == 202
    cancelled = served.compose(id)
    assert (cancelled["state_name"], cancelled["state_reason"]) == ("failed", "Canceled by anonymous")

    def at_work() -> list[int]:
        found = []
        for process in Path("/proc").iterdir():
            try:
                if "osbuild_core.server.task" in (process / "cmdline").read_text():
                    found.append(int(process.name))
            except OSError:
                continue
        return [pid for pid in found if _belongs(pid, served.process.pid)]

    until(at_work, lambda found: not found)
    # Slots are free again.
    assert served.wait(served.create("after-cancelling")["id"])["state_name"] == "done"


def _belongs(pid: int, ancestor: int) -> bool:
    """Tell whether a process descends from another one."""
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False


def test_cancelling_harms_nobody_else(served: Service) -> None:
    first = served.create("slow-1.6")["id"]
    served.wait(first, "generating")
    follower = served.create("slow-1.6")["id"]
    until(lambda: served.compose(follower), lambda found: found["toplevel_url"].endswith(f"-{first}"))
    served.delete(f"/api/1/composes/{first}")
    done = served.wait(follower)
    assert done["state_name"] == "done"
    assert done["toplevel_url"].endswith(f"odcs-{follower}")
    assert made(served, "slow-1.6") == [follower]


def test_stuck_composes_are_given_up(served: Service) -> None:
    stuck = served.create("slow-60")["id"]
    served.wait(stuck, "generating")
    served.sql(f"UPDATE composes SET time_started = '2020-01-01 00:00:00' WHERE id = {stuck}")
    failed = served.wait(stuck)
    assert (failed["state_name"], failed["state_reason"]) == ("failed", "Compose is generating for too long.")


def test_totals_are_those_of_what_is_there(served: Service) -> None:
    for what, more in {
        "totals": {},
        "fail": {"label": "RC-1.0"},
        "f32": {"type": "tag", "label": "RC-1.0"},
    }.items():
        served.wait(served.create(what, **more)["id"])
    groups = served.sql("SELECT state, source_type, count(*) FROM composes GROUP BY state, source_type")
    assert len(groups) > 2
    for state, kind, count in (group.split("|") for group in groups):
        meta = served.get(f"/api/1/composes/?state={state}&source_type={kind}").json()["meta"]
        assert meta["total"] == int(count)
    (labelled,) = served.sql("SELECT count(*) FROM composes WHERE label = 'RC-1.0' AND owner = 'unknown'")
    assert served.get("/api/1/composes/?label=RC-1.0&owner=unknown").json()["meta"]["total"] == int(labelled)
    source = "http://packages.test/totals"
    check_sources(served)
    assert served.get(f"/api/1/composes/?source={source}&state=2").json()["meta"]["total"] == 1
    assert served.get(f"/api/1/composes/?source={source}x").json()["meta"]["total"] == 0
    # Longer than what is in an index of it.
    long = [served.wait(served.create("y" * 120 + end)["id"])["source"] for end in "ab"]
    for source in (*long, long[0][:100]):
        found = served.get(f"/api/1/composes/?source={source}").json()
        assert [item["source"] for item in found["items"]] == [one for one in long if one == source]
        assert found["meta"]["total"] == len(found["items"])
    # Maintenance keeps the rows that say so few, as long as there are some to add up.
    until(
        lambda: served.sql("SELECT count(*), sum(n) FROM compose_counts")[0].split("|"),
        lambda found: int(found[0]) < 120,
    )
    # Enough to add up of sources, too, while it changes; nothing gets lost.
    for _ in range(13):
        for owner in ("somebody", "unknown"):
            served.sql(f"UPDATE composes SET owner = '{owner}'")
    until(lambda: served.sql("SELECT count(*) FROM compose_source_counts"), lambda found: int(found[0]) < 120)
    check_sources(served)


def check_sources(served: Service) -> None:
    """Check totals of lists by source, state and so on against what there is."""
    groups = "source, owner, source_type, state"
    rows = served.sql(f"SELECT {groups}, count(*) FROM composes WHERE length(source) < 100 GROUP BY {groups}")
    assert len(rows) > 2
    for source, owner, kind, state, count in (row.split("|") for row in rows):
        asked = {"source": source, "owner": owner, "source_type": kind, "state": state}
        total = served.get("/api/1/composes/", params=asked).json()["meta"]["total"]
        assert total == int(count), asked


def test_a_process_that_crashes_again_and_again_is_given_up(tmp_path: Path) -> None:
    with service(tmp_path, {"limits": {"attempts": 2}}) as served:
        failed = served.wait(served.create("crash")["id"])
        assert failed["state_name"] == "failed"
        assert "status -9" in failed["state_reason"]


def test_a_queue_is_as_long_as_its_owner_may_have_it(tmp_path: Path) -> None:
    with service(tmp_path, {"limits": {"queued_per_owner": 2}}, "--no-worker") as served:
        for number in range(2):
            served.create(f"queued-{number}")
        body = {"source": {"type": "repo", "source": "http://packages.test/third"}}
        reply = served.post("/api/1/composes/", body)
        assert (reply.status_code, reply.json()["status"]) == (429, 429)
        served.delete("/api/1/composes/1")
        assert served.compose(1)["state_reason"] == "Canceled by anonymous"
        assert served.post("/api/1/composes/", body).status_code == 200
