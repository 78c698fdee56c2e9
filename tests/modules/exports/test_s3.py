"""org.osbuild.s3, against the emulator: what is sent, what is kept, and what is left when it is killed."""

from __future__ import annotations

import os
import random
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.model.errors import ServiceError
from osbuild_core.protocol.export_api import Exported, export
from tests.emulator.aws.client import SECRET, TOKEN, Emulator

from .harness import run, started

PART = 8 << 20
BUCKET = "a-bucket"


class Place:
    """A tree, an emulator with an empty bucket, and the export between them."""

    def __init__(self, emulator: Emulator, directory: Path) -> None:
        self.emulator = emulator
        self.tree = directory / "tree"
        self.state = directory / "state"
        self.tree.mkdir()
        self.environment = emulator.environment() | {"XDG_STATE_HOME": str(self.state)}
        self.keys = iter(range(100))
        self.begin()

    def begin(self) -> None:
        self.emulator.reset()
        shutil.rmtree(self.state, ignore_errors=True)
        self.emulator.boto("s3", "eu-west-1").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        self.emulator.forget_log()

    def export(self, env: dict[str, str] | None = None, **options: Any) -> Exported:
        done = run(
            "s3", self.tree, {"bucket": BUCKET, **options}, environment={**self.environment, **(env or {})}
        )
        assert SECRET not in str(done) and TOKEN not in str(done)
        return done

    def kill_at(self, at: int, *, performed: bool, **options: Any) -> bool:
        """Kill the export at its request number ``at``; say whether it came that far."""
        key = f"AKIAKILLED{next(self.keys):010d}"
        environment = {**self.environment, "AWS_ACCESS_KEY_ID": key}
        arguments = export(str(self.tree), None, {"bucket": BUCKET, **options})
        with (
            self.emulator.hold(key, at, performed=performed),
            started("s3", environment) as (client, process),
        ):

            def ask() -> None:
                with suppress(ServiceError):
                    client.call("export", arguments)

            asking = threading.Thread(target=ask)
            asking.start()
            while not (held := self.emulator.held(0.1)) and asking.is_alive():
                pass
            process.kill()
            asking.join()
        return held

    @property
    def bucket(self) -> dict[str, Any]:
        return dict(self.emulator.state()["buckets"][BUCKET])

    def content(self, key: str) -> bytes:
        answer = self.emulator.boto("s3", "eu-west-1").get_object(Bucket=BUCKET, Key=key)
        return bytes(answer["Body"].read())

    def actions(self, name: str) -> int:
        return sum(item["action"] == name for item in self.emulator.log())


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture
def place(emulator: Emulator, tmp_path: Path) -> Place:
    place = Place(emulator, tmp_path)
    dice = random.Random(1)
    (place.tree / "images").mkdir()
    with (place.tree / "images/disk.raw").open("wb") as file:
        for _ in range(3):
            file.write(dice.randbytes(PART))
        # A part of nothing but zeros, and one that is shorter.
        file.seek(4 * PART)
        file.write(b"the end")
    (place.tree / "images/SHA256SUMS").write_text("sums")
    (place.tree / "images/empty").touch()
    (place.tree / "latest").symlink_to("/images/disk.raw")
    (place.tree / "loop").symlink_to("loop")
    (place.tree / "outside").symlink_to("/etc")
    os.mkfifo(place.tree / "pipe")
    return place


KEYS = ["images/SHA256SUMS", "images/disk.raw", "images/empty", "latest"]


def test_a_tree(place: Place) -> None:
    done = place.export(prefix="13/", tags={"team": "images"}, cache_control="max-age=60")
    assert done.error is None
    size = 4 * PART + 7
    assert done.data == {
        "bucket": BUCKET,
        "region": "eu-west-1",
        "files": 4,
        "sent": 4,
        "bytes_sent": 2 * size + 4,
        "left_out": ["loop", "outside", "pipe"],
        "objects": done.data["objects"],
    }
    assert sorted(item["key"] for item in done.data["objects"]) == [f"13/{key}" for key in KEYS]
    assert sorted(place.bucket["objects"]) == [f"13/{key}" for key in KEYS]
    assert {item["tags"]["team"] for item in place.bucket["objects"].values()} == {"images"}
    for key in KEYS:
        assert (
            place.content(f"13/{key}")
            == (place.tree / ("images/disk.raw" if key == "latest" else key)).read_bytes()
        )
    head = place.emulator.boto("s3", "eu-west-1").head_object(Bucket=BUCKET, Key="13/images/empty")
    assert head["CacheControl"] == "max-age=60"
    # Again: nothing is sent. What was changed is.
    place.emulator.forget_log()
    again = place.export(prefix="13/", tags={"team": "images"}, cache_control="max-age=60")
    assert (again.data["sent"], place.actions("PutObject"), place.actions("UploadPart")) == (0, 0, 0)
    (place.tree / "images/SHA256SUMS").write_text("other")
    assert place.export(prefix="13/", tags={"team": "images"}).data["sent"] == 1
    assert place.content("13/images/SHA256SUMS") == b"other"


def test_a_file(place: Place) -> None:
    done = place.export(source="/latest", prefix="disk-")
    assert done.data["objects"] == [{"key": "disk-latest", "size": 4 * PART + 7}]
    assert list(place.bucket["objects"]) == ["disk-latest"]


@pytest.mark.parametrize(
    ("journal", "cache"),
    [(True, True), (False, True), (False, False)],
    ids=["here", "elsewhere", "elsewhere-without-properties"],
)
def test_killed_and_run_again(place: Place, journal: bool, cache: bool) -> None:
    """At any request: the same end, and no parts left; those that were there are not sent again."""
    options: dict[str, Any] = {"source": "/images", "concurrency": 2, "tags": {"team": "images"}}
    if cache:
        options["cache_control"] = "max-age=60"
    place.export(**options)
    end, actions = place.bucket, [item["action"] for item in place.emulator.log()]
    assert end["uploads"] == {}
    dice = random.Random(f"{journal} {cache}")
    third = [at for at, action in enumerate(actions, 1) if action == "UploadPart"][2]
    for at in (third, dice.randint(1, len(actions))):
        place.begin()
        assert place.kill_at(at, performed=dice.random() < 0.5, **options)
        begun = sum(upload["parts"] for upload in place.bucket["uploads"].values())
        assert begun > 0 or at != third
        if not journal:
            shutil.rmtree(place.state, ignore_errors=True)
        place.emulator.forget_log()
        assert place.export(**options).error is None
        assert place.bucket == end, f"killed at request {at} of {len(actions)}"
        # With properties that S3 does not tell of an upload, only who has begun it can go on.
        if begun and (journal or not cache):
            assert place.actions("UploadPart") == 5 - begun


@pytest.mark.soak
def test_killed_at_every_request(place: Place) -> None:
    options: dict[str, Any] = {"source": "/images", "concurrency": 2, "cache_control": "max-age=60"}
    place.export(**options)
    end, total = place.bucket, len(place.emulator.log())
    for at in range(1, total + 1):
        for performed in (True, False):
            place.begin()
            place.kill_at(at, performed=performed, **options)
            assert place.export(**options).error is None
            assert place.bucket == end, f"killed at request {at} of {total}, performed: {performed}"


def test_an_upload_of_what_the_file_was_before(place: Place) -> None:
    """Its parts are of no use, and do not stay; be the file large now or small."""
    options: dict[str, Any] = {"source": "/images", "concurrency": 1}
    place.export(**options)
    actions = [item["action"] for item in place.emulator.log()]
    for content in (b"new" * PART, b"small"):
        place.begin()
        assert place.kill_at(actions.index("UploadPart") + 2, performed=True, **options)
        (begun,) = place.bucket["uploads"].values()
        assert begun["parts"] > 0
        (place.tree / "images/disk.raw").write_bytes(content)
        assert place.export(**options).error is None
        assert place.bucket["uploads"] == {}
        assert place.content("disk.raw") == content
        with (place.tree / "images/disk.raw").open("wb") as file:
            file.write(random.Random(2).randbytes(3 * PART))


def test_what_goes_wrong(place: Place) -> None:
    missing = place.export(bucket="no-bucket")
    assert missing.error and "no-bucket" in missing.error and missing.place == ("bucket",)
    nothing = place.export(source="/nothing")
    assert nothing.place == ("source",) and nothing.error == "the tree has no /nothing"
    nobody = place.export(env={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""})
    assert nobody.error and "credentials" in nobody.error and "AWS_PROFILE" in str(nobody.hint)
    profile = place.export(profile="no-profile")
    assert profile.error and "no-profile" in profile.error
    tag = place.export(tags={"what?": "1"})
    assert tag.place == ("tags", "what?")
    long = place.export(prefix="x" * 1020)
    assert long.place == ("prefix",)
    with open(os.fsencode(place.tree) + b"/\xff", "wb"):
        pass
    name = place.export()
    assert name.error and "UTF-8" in name.error
    os.unlink(os.fsencode(place.tree) + b"/\xff")
    assert place.bucket == {**place.bucket, "objects": {}, "uploads": {}}
    place.emulator.rule("expired", service="s3", action="UploadPart", skip=2)
    expired = place.export()
    assert expired.error and "expired" in expired.error
    place.emulator.settings(rules=[])
    assert place.export().error is None
    assert place.bucket["uploads"] == {} and sorted(place.bucket["objects"]) == KEYS
    # Every request may fail once, or its answer be lost.
    place.begin()
    place.emulator.settings(
        seed=3, rules=[{"error": "throttle", "share": 0.1}, {"error": "lost", "share": 0.1}]
    )
    assert place.export().error is None
    assert place.bucket["uploads"] == {} and sorted(place.bucket["objects"]) == KEYS
