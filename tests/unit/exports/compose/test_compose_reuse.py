from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest

from osbuild_core.exports.compose import lifetime, reuse
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.lifetime import GENERATING, Extension, Record, Regeneration
from osbuild_core.exports.compose.parsing import Renewal
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType, State

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
REPO = ComposeRequest(SourceType.repo, "/srv/repo", koji_event=7, packages=("a", "b"))


def record(number, state=State.done, request=REPO, **more):
    if state is State.generating:
        more.setdefault("state_reason", GENERATING)
    return Record(number, request, state, NOW, more.pop("expires", NOW + HOUR), **more)


def mine(request=REPO, **more):
    return record(100, State.wait, request, **more)


def test_done_ones_come_first_and_the_newest_of_them_the_oldest_of_the_others():
    others = [
        record(1, State.generating),
        record(2, State.generating),
        record(3),
        record(4),
        record(5, State.failed),
        record(6, State.removed),
        record(7, State.wait),
        record(8, reused_id=4),
        record(9, request=replace(REPO, source_type=SourceType.tag)),
        record(10, State.generating, state_reason="Compose is generated elsewhere"),
        record(101),
    ]
    assert [other.id for other in reuse.candidates(mine(), others)] == [4, 3, 1, 2]


def test_what_has_to_be_equal():
    matters = {*reuse.AS_SETS, *reuse.EXACTLY}
    values = {
        "flags": frozenset({"check_deps"}),
        "results": frozenset({"iso"}),
        "multilib_method": frozenset({"all"}),
    }
    for field in fields(ComposeRequest):
        if field.name in ("source_type", "koji_event"):
            continue
        value = values.get(field.name, ("x",) if field.name in reuse.AS_SETS else "x")
        other = replace(REPO, **{field.name: value})
        expected = field.name if field.name in matters else None
        assert reuse.differing(REPO, other) == expected
        assert (reuse.choose(mine(), [record(1, request=other)]) is None) == (expected is not None)
    assert {f.name for f in fields(ComposeRequest)} - matters == {
        *("source_type", "koji_event", "label", "compose_type")
    }


def test_lists_are_compared_as_sets():
    assert reuse.differing(REPO, replace(REPO, packages=("b", "a"))) is None


def test_the_revision_has_to_be_the_same():
    for theirs, serves in ((6, False), (7, True), (8, False), (None, False)):
        other = record(1, request=replace(REPO, koji_event=theirs))
        assert (reuse.choose(mine(), [other]) is not None) == serves


def test_a_tag_serves_unless_it_changed_since():
    tag = replace(REPO, source_type=SourceType.tag, source="f32 extras")

    def chosen(theirs, changed):
        other = record(1, request=replace(tag, koji_event=theirs))
        return (
            reuse.choose(mine(tag), [other], lambda name, event: name in changed and event == theirs)
            is not None
        )

    assert chosen(6, ())
    assert chosen(7, ("extras",))
    assert not chosen(6, ("extras",))
    # A renewed compose must not get newer content.
    assert not chosen(8, ())


@pytest.mark.parametrize(
    "request_",
    [replace(REPO, flags=frozenset({"no_reuse"})), replace(REPO, source_type=SourceType.raw_config)],
)
def test_some_are_always_made_anew(request_):
    assert reuse.choose(mine(request_), [record(1, request=request_)]) is None


def test_both_live_as_long_as_the_longer():
    late = NOW + 5 * HOUR
    assert reuse.choose(mine(), [record(1, expires=late)]) == reuse.Reuse(1, late, True)
    assert reuse.choose(mine(expires=late), [record(1, State.generating)]) == reuse.Reuse(1, late, False)


def test_renewal_extends_all_that_share_the_files_and_never_shortens():
    one, two, three, four = (
        record(1),
        record(2, reused_id=1, expires=NOW + 72 * HOUR),
        record(3, reused_id=1),
        record(4),
    )
    everything = [one, two, three, four]
    found = lifetime.renewal(three, Renewal(7200), everything, NOW, 60)
    assert found == Extension((1, 2, 3), NOW + 2 * HOUR)
    assert [lifetime.extended(each, found) - NOW for each in everything] == [
        2 * HOUR,
        72 * HOUR,
        2 * HOUR,
        HOUR,
    ]
    assert lifetime.renewal(two, Renewal(60), everything, NOW, 60) == Extension((1, 2, 3), NOW + 72 * HOUR)
    assert lifetime.renewal(four, Renewal(), everything, NOW, 60) == Extension((4,), NOW + HOUR)


@pytest.mark.parametrize(
    ("state", "asked", "same"),
    [
        (State.removed, Renewal(), True),
        (State.failed, Renewal(), True),
        (State.done, Renewal(label="new"), True),
        (State.done, Renewal(sigkeys=("1",)), False),
        (State.done, Renewal(builds=("a-1-1",)), False),
        (State.done, Renewal(modules=("a:1",)), False),
    ],
)
def test_renewal_that_makes_a_new_compose(state, asked, same):
    found = lifetime.renewal(record(1, state, pungi_compose_id="odcs-1"), asked, [], NOW, 60)
    assert isinstance(found, Regeneration)
    assert found.same_content is same
    assert found.request.koji_event == 7
    assert found.request.respin_of == "odcs-1"
    assert found.request.label == asked.label


@pytest.mark.parametrize("state", [State.wait, State.generating])
def test_what_is_not_finished_cannot_be_renewed(state):
    with pytest.raises(ComposeError):
        lifetime.renewal(record(1, state), Renewal(), [], NOW, 60)


def test_expiry():
    late = NOW + 2 * HOUR
    assert [lifetime.is_expired(record(1, state), late) for state in State] == [
        False,
        False,
        True,
        False,
        True,
    ]
    assert not lifetime.is_expired(record(1), NOW)
    assert lifetime.time_to_expire_when_over(record(1), late) == late + HOUR
    assert lifetime.removal_reason(record(1)) == "Compose is expired."
    removed = record(1, removed_by="me", state_reason="Compose is generated")
    assert lifetime.removal_reason(removed) == "Compose is generated\nRemoved by me."
    assert lifetime.owns_files(record(1)) and not lifetime.owns_files(record(2, reused_id=1))


def test_directories_without_a_compose_are_orphans():
    states = {1: State.done, 2: State.removed}
    names = [
        "odcs-1",
        "odcs-2",
        "odcs-3",
        "latest-odcs-1-1",
        "latest-odcs-2-1",
        "other",
        "odcs-x",
        "odcs-1-2026",
    ]
    assert [lifetime.is_orphan(name, states) for name in names] == [
        False,
        True,
        True,
        False,
        True,
        False,
        False,
        False,
    ]


def test_what_never_ends_is_given_up():
    assert not lifetime.is_stuck(record(1, State.wait), NOW + timedelta(days=2), HOUR)
    assert lifetime.is_stuck(record(1, State.wait), NOW + timedelta(days=4), HOUR)
    started = record(1, State.generating, time_started=NOW)
    assert not lifetime.is_stuck(started, NOW + 2 * HOUR, HOUR)
    assert lifetime.is_stuck(started, NOW + 3 * HOUR, HOUR)
    assert not lifetime.is_stuck(record(1), NOW + timedelta(days=9), HOUR)
