"""Killed at any request, run again: the same end, no orphans, nothing without a tag."""

from __future__ import annotations

import random
import shutil
from typing import Any

import pytest

from tests.integration.ami.conftest import HOME, Ami

REGIONS = [HOME, "eu-west-1"]
CAMPAIGNS = [("ebs", "create"), ("s3", "create"), ("ebs", "publish"), ("ebs", "unpublish"), ("s3", "cleanup")]
BEFORE = {"publish": ["create"], "unpublish": ["create", "publish"], "cleanup": ["create"]}
"""What is done before a command, so that there is something for it to do."""

SAMPLES = {"create": 4, "publish": 2, "unpublish": 1, "cleanup": 2}
"""How many points of each campaign are tried in ``make test``."""


class Campaign:
    """One command, killed again and again."""

    def __init__(self, ami: Ami, upload: str, command: str) -> None:
        self.ami = ami
        self.command = command
        self.random = random.Random(f"{upload} {command}")
        ami.image()
        self.config = ami.config(
            upload=upload,
            s3={"bucket_name": "a-bucket"},
            images={
                "lasting": {
                    "boot_mode": "uefi",
                    "regions": REGIONS,
                    "share": ["111122223333"],
                    "public": True,
                    "deprecate_at": "2036-01-01T00:00:00Z",
                    "ssm_parameter": [{"name": "/an/image"}],
                    "sns": [{"news": {"subject": "s", "message": {"default": "m"}, "regions": [HOME]}}],
                },
                "passing": {
                    "boot_mode": "uefi",
                    "regions": REGIONS,
                    "separate_snapshot": True,
                    "temporary": True,
                },
            },
        )
        self.begin()
        self.requests = len(ami.count(command, self.config))
        self.end = settled(ami)

    def begin(self) -> None:
        """Make the world as it is before the command."""
        self.ami.emulator.reset()
        shutil.rmtree(self.ami.state, ignore_errors=True)
        self.ami.emulator.boto("s3").create_bucket(Bucket="a-bucket")
        self.ami.emulator.boto("sns").create_topic(Name="news")
        for command in BEFORE.get(self.command, ()):
            self.ami.ok(command, self.config)

    def round(self, at: int, *, performed: bool, journal: bool) -> bool:
        """Kill the command at one request and run it again; say whether it came that far.

        Without ``journal`` the second run is on another machine, so to speak.
        """
        self.begin()
        came = self.ami.kill_at(at, self.command, self.config, performed=performed)
        if not journal:
            shutil.rmtree(self.ami.state, ignore_errors=True)
        self.ami.ok(self.command, self.config)
        where = f"at request {at} of {self.requests}, performed: {performed}, journal: {journal}"
        assert settled(self.ami) == self.end, where
        return came


def settled(ami: Ami) -> dict[str, Any]:
    """Return what there is without ids, after checking that all of it belongs to something."""
    state = ami.emulator.state()
    result: dict[str, Any] = {"buckets": {}}
    for name, bucket in state["buckets"].items():
        assert bucket["uploads"] == {}
        result["buckets"][name] = bucket["objects"]
        assert all(item["tags"] for item in bucket["objects"].values())
    for region in REGIONS:
        there = state["regions"][region]
        names = {key: item["tags"]["Name"] for key, item in there["snapshots"].items()}
        images = {}
        for key, item in there["images"].items():
            assert item["tags"]
            mapping = item["mappings"][0]["Ebs"]
            root = names[mapping["SnapshotId"]]
            images[item["name"]] = {**item, "mappings": root}
            for parameter in there["parameters"].values():
                if parameter["value"] == key:
                    parameter["value"] = item["name"]
        kept = "state", "size", "tags", "users", "groups", "content", "encrypted"
        snapshots = sorted(
            ({name: item[name] for name in kept} for item in there["snapshots"].values()), key=str
        )
        # An import that was finished had a snapshot, and one that goes on would have one later.
        assert all(item["state"] == "completed" for item in there["tasks"].values())
        parameters = {name: item["value"] for name, item in there["parameters"].items()}
        # A notification may be sent twice, if the first was sent and nobody was told.
        messages = sorted({item["subject"] for item in there["messages"]})
        result[region] = {
            "images": images,
            "snapshots": snapshots,
            "parameters": parameters,
            "messages": messages,
        }
    return result


@pytest.mark.parametrize(
    ("upload", "command"),
    [pytest.param(*item, marks=pytest.mark.xdist_group(f"killed {item}")) for item in CAMPAIGNS],
)
def test_killed_here_and_there(ami: Ami, upload: str, command: str) -> None:
    campaign = Campaign(ami, upload, command)
    for number in range(SAMPLES[command]):
        # One point of each part of the run.
        at = 1 + int(campaign.requests * (number + campaign.random.random()) / SAMPLES[command])
        assert campaign.round(at, performed=number % 2 == 0, journal=campaign.random.random() < 0.7)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("upload", "command"),
    [pytest.param(*item, marks=pytest.mark.xdist_group(f"killed always {item}")) for item in CAMPAIGNS],
)
def test_killed_at_every_request(ami: Ami, upload: str, command: str) -> None:
    campaign = Campaign(ami, upload, command)
    came = 0
    for at in range(1, campaign.requests + 1):
        for performed in (True, False):
            came += campaign.round(at, performed=performed, journal=campaign.random.random() < 0.5)
    # Threads take turns in other ways, so that the last requests may not be reached.
    assert came >= 2 * campaign.requests - 10
