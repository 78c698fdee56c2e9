"""What has to be done, from what is wanted and what is there."""

from __future__ import annotations

import pytest

from osbuild_core.exports.ami.observe import FoundImage, FoundSnapshot, Observed
from osbuild_core.exports.ami.planning import WantedImage, make_plan

US, EU, AP = "us-east-1", "eu-west-1", "ap-south-1"


def snapshot(name: str, identifier: str = "snap-1", state: str = "completed") -> FoundSnapshot:
    return FoundSnapshot(identifier, name, state, False, False, "2026", {})


def image(name: str, identifier: str = "ami-1") -> FoundImage:
    return FoundImage(identifier, name, "snap-1", {})


def there(*snapshots: FoundSnapshot, images: tuple[FoundImage, ...] = ()) -> Observed:
    return Observed({one.name: one for one in images}, {one.name: one for one in snapshots})


def plan(wanted, observed, **rest):
    return make_plan(wanted, observed, **{"method": "ebs", "source_region": US, **rest})


def steps(found):
    return {(step.region, step.name): step.action for step in found.snapshots}


ONE = WantedImage("image", "name", (US, EU))


def test_nothing_is_there():
    found = plan([ONE], {US: there(), EU: there()})
    assert steps(found) == {(US, "name"): "upload", (EU, "name"): "copy"}
    assert [step.origin for step in found.snapshots] == [None, (US, "name")]
    assert [step.action for step in found.images] == ["register", "register"]


def test_all_is_there():
    seen = {region: there(images=(image("image"),)) for region in (US, EU)}
    found = plan([ONE], seen)
    assert (found.snapshots, found.origins) == ((), ())
    assert [(step.action, step.id) for step in found.images] == [("exists", "ami-1")] * 2


@pytest.mark.parametrize("state", ["completed", "pending"])
def test_a_snapshot_anywhere_is_copied_from(state):
    found = plan([ONE], {US: there(), EU: there(snapshot("name", state=state))})
    action = "exists" if state == "completed" else "wait"
    assert steps(found) == {(US, "name"): "copy", (EU, "name"): action}


def test_an_upload_is_gone_on_with():
    half = snapshot("name", "snap-half", "pending")
    found = plan([ONE], {US: there(half), EU: there()}, unfinished=frozenset({"snap-half"}))
    assert steps(found) == {(US, "name"): "resume", (EU, "name"): "copy"}
    assert found.origins[0].id == "snap-half"


def test_the_bucket_may_be_elsewhere():
    found = plan([ONE], {US: there(), EU: there(), AP: there()}, method="s3", source_region=AP)
    assert steps(found) == {(AP, "name"): "import", (US, "name"): "copy", (EU, "name"): "copy"}


def test_a_region_that_was_not_observed_is_left_out():
    found = plan([ONE], {EU: there()}, source_region=EU, failed={US: "refused"})
    assert steps(found) == {(EU, "name"): "upload"}
    assert [step.region for step in found.images] == [EU]
    assert any(line.startswith("! us-east-1") for line in found.lines())


def test_images_that_are_there_twice_are_left_alone():
    seen = Observed(twice={"image": (image("image"), image("image", "ami-2"))})
    assert (
        plan([ONE], {US: seen, EU: there()}).images
        == plan([ONE._replace(regions=(EU,))], {EU: there()}).images
    )


def test_what_is_encrypted_is_no_origin_for_what_is_not():
    secret = WantedImage("secret", "encrypted", (US,), encrypted=True)
    found = plan([secret, ONE], {US: there(), EU: there()})
    assert steps(found)[US, "name"] == "upload"
    assert steps(found)[US, "encrypted"] == "copy"
    found = plan([secret, ONE], {US: there(snapshot("encrypted")), EU: there()})
    assert steps(found)[US, "name"] == "upload"


def test_billing_products_do_not_spread():
    """A copy of a snapshot has its product codes, so each set of billing products has an origin of its own."""
    wanted = [
        WantedImage("a", "name-a", (US,), billing=("bp-a",)),
        WantedImage("b", "name-b", (US,), billing=("bp-b",)),
    ]
    assert steps(plan(wanted, {US: there()})) == {(US, "name-a"): "upload", (US, "name-b"): "upload"}
    wanted.append(WantedImage("c", "name-c", (US,)))
    assert steps(plan(wanted, {US: there()})) == {
        (US, "name-a"): "copy",
        (US, "name-b"): "copy",
        (US, "name-c"): "upload",
    }
