"""The parts that talk to AWS, against moto's server over HTTP; where it is wrong, against our emulator."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from osbuild_core.exports import ami
from osbuild_core.exports.ami import events, ssm
from osbuild_core.exports.ami.config import SsmParameter, parse
from osbuild_core.exports.ami.context import Context
from osbuild_core.exports.ami.ebs import BLOCK
from osbuild_core.exports.ami.observe import found_image
from osbuild_core.exports.ami.publication import publish_images
from osbuild_core.exports.ami.run import create_images
from osbuild_core.exports.ami.s3 import S3
from osbuild_core.exports.ami.sns import SNSNotification
from osbuild_core.exports.aws.clients import BotoClients
from osbuild_core.exports.aws.errors import AwsError
from osbuild_core.exports.aws.tags import tag_mapping
from osbuild_core.exports.s3.parts import PART
from tests.emulator.aws.client import Emulator

SERVER = """
import os, sys, threading
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
print(server.port, flush=True)
server.serve_forever(poll_interval=0.05)
"""

HOME, OTHER = "us-east-1", "eu-central-1"


@pytest.fixture(scope="module")
def server():
    command = [sys.executable, "-c", SERVER]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **streams) as process:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()
        process.wait(60)


@pytest.fixture
def aws(server, monkeypatch):
    """A clean AWS, and credentials for it."""
    urllib.request.urlopen(
        urllib.request.Request(f"{server}/moto-api/reset", method="POST"), timeout=60
    ).close()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLEEXAMPLE00")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", HOME)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    return BotoClients()


@pytest.fixture
def emulated(monkeypatch):
    """Moto refuses the tags of objects whose keys begin with "aws", which S3 takes; the emulator does not."""
    with Emulator() as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        yield BotoClients()


class Interrupted(Exception):
    """A run ends in the middle."""


def disk(path: Path, blocks: dict[int, bytes], size: int) -> bytes:
    with path.open("wb") as file:
        for index, letter in blocks.items():
            file.seek(index * BLOCK)
            file.write(letter * BLOCK)
        file.truncate(size)
    return path.read_bytes()


def configuration(tmp_path: Path, *, image=None, **more):
    document = {
        "source": {"path": "disk.raw", "architecture": "x86_64"},
        "images": {"image": {"boot_mode": "uefi", "regions": [HOME, OTHER], **(image or {})}},
        **more,
    }
    return parse(document, tmp_path)


def run(conf, tmp_path: Path, on_event: events.Sink | None = None) -> Context:
    return Context.of(conf, on_event=on_event, state_dir=tmp_path / "state")


def stored(aws, snapshot: str, size: int) -> bytes:
    """Return the first bytes of a snapshot's volume."""
    client = aws("ebs", HOME)
    found = bytearray(-(-size // BLOCK) * BLOCK)
    for block in client.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"]:
        index = block["BlockIndex"]
        token = block["BlockToken"]
        answer = client.get_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockToken=token)
        found[index * BLOCK : (index + 1) * BLOCK] = answer["BlockData"].read()
    return bytes(found)


def snapshots(aws, region: str = HOME) -> list[str]:
    return [
        one["SnapshotId"] for one in aws("ec2", region).describe_snapshots(OwnerIds=["self"])["Snapshots"]
    ]


def test_a_raw_image_goes_up_block_by_block_and_on_after_an_interruption(aws, tmp_path):
    content = disk(tmp_path / "disk.raw", {0: b"a", 3: b"b", 7: b"c", 11: b"d"}, 12 * BLOCK - 100)
    conf = configuration(tmp_path, ebs={"concurrency": 1})
    seen: list[events.Event] = []

    def interrupt(event: events.Event) -> None:
        seen.append(event)
        if isinstance(event, events.UploadProgress) and event.sent == 2 * BLOCK:
            raise Interrupted

    with run(conf, tmp_path, interrupt) as context, pytest.raises(Interrupted):
        create_images(context)
    assert len(snapshots(aws)) == 1
    seen.clear()
    with run(conf, tmp_path, seen.append) as context:
        first = create_images(context)
        again = create_images(context)
    started = [event for event in seen if isinstance(event, events.UploadStarted)]
    assert started == [events.UploadStarted("ebs", HOME, 4 * BLOCK, 2 * BLOCK)]
    assert first.success and first.images == again.images
    assert sorted(first.images["image"]) == [OTHER, HOME]
    (snapshot,) = (one for one in snapshots(aws) if one == context_snapshot(seen))
    assert stored(aws, snapshot, len(content))[: len(content)] == content
    facts = aws("ec2", HOME).describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]
    assert tag_mapping(facts["Tags"])["Name"] == hashlib.sha256(content).hexdigest()


def context_snapshot(seen: list[events.Event]) -> str:
    return next(e.id for e in seen if isinstance(e, events.RegionState) and e.state == "snapshot ready")


def test_only_what_differs_from_the_parent_is_sent(aws, tmp_path):
    disk(tmp_path / "disk.raw", {0: b"a", 1: b"b", 5: b"x"}, 6 * BLOCK)
    seen: list[events.Event] = []
    with run(configuration(tmp_path), tmp_path, seen.append) as context:
        create_images(context)
    parent = context_snapshot(seen)
    disk(tmp_path / "disk.raw", {0: b"a", 1: b"c"}, 5 * BLOCK)
    conf = configuration(
        tmp_path, ebs={"parent_snapshot": parent}, images={"second": {"boot_mode": "uefi", "regions": [HOME]}}
    )
    seen.clear()
    with run(conf, tmp_path, seen.append) as context:
        create_images(context)
    # One that changed, and one behind the end that has to become zeros.
    assert events.UploadStarted("ebs", HOME, 2 * BLOCK, 0) in seen
    answer = aws("ebs", HOME).list_snapshot_blocks(SnapshotId=context_snapshot(seen))
    # Put side by side, so in any order.
    assert sorted(block["BlockIndex"] for block in answer["Blocks"]) == [1, 5]


def test_an_image_that_changes_meanwhile_is_not_completed(aws, tmp_path):
    path = tmp_path / "disk.raw"
    disk(path, {0: b"a", 1: b"b", 2: b"c"}, 3 * BLOCK)

    def change(event: events.Event) -> None:
        if isinstance(event, events.UploadProgress):
            with path.open("r+b") as file:
                file.seek(2 * BLOCK)
                file.write(b"x")

    conf = configuration(tmp_path, ebs={"concurrency": 1})
    with run(conf, tmp_path, change) as context, pytest.raises(AwsError) as caught:
        create_images(context)
    assert caught.value.code == "aws.source-changed"
    assert not aws("ec2", HOME).describe_images(Owners=["self"])["Images"]


def test_an_object_goes_up_in_parts_and_on_after_an_interruption(emulated, tmp_path):
    path = tmp_path / "disk.raw"
    content = disk(path, {0: b"a", 20: b"b", 40: b"c"}, 2 * PART + 5 * BLOCK + 7)
    client = emulated("s3", HOME)
    client.create_bucket(Bucket="bucket")
    # Somebody else's, which is older and has nothing.
    key = hashlib.sha256(content).hexdigest()
    client.create_multipart_upload(Bucket="bucket", Key=key)
    conf = configuration(
        tmp_path, s3={"bucket_name": "bucket", "upload_multipart_concurrency": 1}, tags={"own": "1"}
    )
    seen: list[events.Event] = []

    def interrupt(event: events.Event) -> None:
        seen.append(event)
        if isinstance(event, events.UploadProgress) and event.sent == 2 * PART:
            raise Interrupted

    with run(conf, tmp_path, interrupt) as context, pytest.raises(Interrupted):
        S3(context).upload_file()
    seen.clear()
    with run(conf, tmp_path, seen.append) as context:
        assert S3(context).upload_file() == key
        assert events.UploadStarted("s3", HOME, len(content), 2 * PART) in seen
        assert not client.list_multipart_uploads(Bucket="bucket").get("Uploads")
        assert client.get_object(Bucket="bucket", Key=key)["Body"].read() == content
        # An object without its tags, as an interrupted awspub leaves it.
        client.delete_object_tagging(Bucket="bucket", Key=key)
        seen.clear()
        S3(context).upload_file()
        assert not any(isinstance(event, events.UploadStarted) for event in seen)
        tags = tag_mapping(client.get_object_tagging(Bucket="bucket", Key=key)["TagSet"])
        assert (tags["own"], tags["awspub:source:sha256"]) == ("1", key)
        assert S3(context).delete(key)
        assert not S3(context).delete(key)


def test_parameters(aws):
    client = aws("ssm", HOME)
    kept, free = SsmParameter(name="/kept"), SsmParameter(name="/free", allow_overwrite=True)
    assert ssm.put(client, [kept, free], "ami-1", {"t": "1"}) == [
        "parameter /kept set",
        "parameter /free set",
    ]
    assert ssm.put(client, [kept, free], "ami-1", {}) == []
    assert len(ssm.put(client, [kept, free], "ami-2", {})) == 2
    assert ssm.values(client, ["/kept", "/free", "/none"]) == {"/kept": "ami-1", "/free": "ami-2"}
    assert ssm.remove(client, [kept, free], "ami-2") == ["parameter /free deleted"]
    assert ssm.values(client, ["/kept", "/free"]) == {"/kept": "ami-1"}


@pytest.mark.parametrize("always", [False, True])
def test_notifications_are_sent_once(aws, tmp_path, always):
    disk(tmp_path / "disk.raw", {0: b"a"}, BLOCK)
    aws("sns", HOME).create_topic(Name="topic")
    aws("sns", OTHER).create_topic(Name="topic")
    entry = {"subject": "s", "message": {"default": "d"}, "always": always}
    conf = configuration(tmp_path, image={"sns": [{"topic": {**entry, "regions": [HOME, OTHER]}}]})
    ec2 = aws("ec2", HOME)
    image = ec2.register_image(Name="image", Architecture="x86_64")["ImageId"]
    with run(conf, tmp_path) as context:
        sent = []
        for _ in range(2):
            found = found_image(ec2.describe_images(ImageIds=[image])["Images"][0])
            for region, there in ((HOME, found), (OTHER, None)):
                sent.append(SNSNotification(context, "image", region).publish(there, {HOME: image}))
    assert sent == [["notified topic"]] * 4 if always else [["notified topic"]] * 2 + [[]] * 2


def test_an_image_that_is_missing_or_there_twice_is_an_error(aws, tmp_path):
    disk(tmp_path / "disk.raw", {0: b"a"}, BLOCK)
    for _ in range(2):
        aws("ec2", HOME).register_image(Name="image", Architecture="x86_64")
    with run(configuration(tmp_path, image={"public": True}), tmp_path) as context:
        published = publish_images(context)
        created = create_images(context)
    assert {region: [e.code for e in errors] for region, errors in published.failed.items()} == {
        OTHER: ["ami.missing-image"],
        HOME: ["ami.duplicate-image"],
    }
    assert (list(created.images["image"]), list(created.failed)) == ([OTHER], [HOME])


def test_errors_that_concern_all(aws, tmp_path, monkeypatch):
    disk(tmp_path / "disk.raw", {0: b"a"}, BLOCK)
    with (
        Context.of(
            configuration(tmp_path, s3={"bucket_name": "none"}), state_dir=tmp_path / "state"
        ) as context,
        pytest.raises(AwsError) as caught,
    ):
        create_images(context)
    assert (caught.value.code, caught.value.place) == ("aws.bucket", ("awspub", "s3", "bucket_name"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "config.yaml"
    path.write_text(
        "awspub: {source: {path: disk.raw, architecture: x86_64}, images: {image: {boot_mode: uefi}}}"
    )
    for call in (ami.create, ami.list, ami.plan, ami.publish, ami.unpublish, ami.verify, ami.cleanup):
        with pytest.raises(AwsError) as caught:
            call(path, state_dir=tmp_path / "state")
        assert caught.value.code == "aws.credentials"
    assert threading.active_count() < 40
