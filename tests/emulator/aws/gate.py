"""What happens to a request on its way in: numbered, logged, slowed down, refused, lost or held."""

from __future__ import annotations

import base64
import hashlib
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from . import errors
from .settings import Rule
from .world import World

S3_ACTIONS = {
    ("POST", "uploads"): "CreateMultipartUpload",
    ("PUT", "partNumber"): "UploadPart",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
    ("GET", "uploadId"): "ListParts",
    ("GET", "uploads"): "ListMultipartUploads",
    ("PUT", "tagging"): "PutObjectTagging",
    ("GET", "tagging"): "GetObjectTagging",
    ("GET", "location"): "GetBucketLocation",
    ("GET", "list-type"): "ListObjectsV2",
    ("POST", "delete"): "DeleteObjects",
}
S3_OBJECT = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
S3_BUCKET = {"GET": "ListObjects", "HEAD": "HeadBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}


class Lost(Exception):
    """The connection is to be cut without an answer."""


class Call(NamedTuple):
    """A request, as the gate sees it."""

    service: str
    """The signing name: ``ec2``, ``s3``, ``aws-marketplace``."""
    action: str
    region: str
    key: str
    body: bytes


def call_of(environ: Mapping[str, Any], body: bytes) -> Call | None:
    """Return what a signed request asks for, None if it is not signed."""
    # Signed in a header, or in the address by somebody else.
    signed = parse_qs(environ.get("QUERY_STRING", "")).get("X-Amz-Credential", [""])[0]
    try:
        scope = environ.get("HTTP_AUTHORIZATION", f"Credential={signed}").split("Credential=")[1]
        key, _date, region, service, _end = scope.split(",")[0].split("/")
    except (IndexError, ValueError):
        return None
    return Call(service.lower(), _action(service.lower(), environ, body), region, key, body)


def _action(service: str, environ: Mapping[str, Any], body: bytes) -> str:
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "/")
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target).rsplit(".", 1)[-1]
    parts = path.strip("/").split("/")
    match service:
        case "s3":
            query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
            for (verb, name), action in S3_ACTIONS.items():
                if verb == method and name in query:
                    return action
            if not parts[0]:
                return "ListBuckets"
            return (S3_OBJECT if len(parts) > 1 else S3_BUCKET).get(method, method)
        case "ebs":
            match method, parts:
                case "POST", ["snapshots"]:
                    return "StartSnapshot"
                case "POST", ["snapshots", "completion", _]:
                    return "CompleteSnapshot"
                case "GET", [_, _, "blocks"]:
                    return "ListSnapshotBlocks"
                case "GET", [_, _, "changedblocks"]:
                    return "ListChangedBlocks"
                case "GET", _:
                    return "GetSnapshotBlock"
                case _:
                    return "PutSnapshotBlock"
        case "aws-marketplace":
            return parts[0]
    return (parse_qs(body.decode("utf-8", "replace")).get("Action") or ["?"])[0]


class Gate:
    """Stands before the services; one for the process."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.changed = threading.Condition()
        self.reset()

    def reset(self) -> None:
        """Forget requests and let go what is held."""
        with self.changed:
            self.log: list[dict[str, Any]] = []
            self.numbers: Counter[str] = Counter()
            self.dead: set[str] = set()
            self.held = False
            self.random = random.Random(self.world.settings.seed)
            self.changed.notify_all()

    def reseed(self) -> None:
        """Begin the draws again, after a change of the settings."""
        with self.changed:
            self.random = random.Random(self.world.settings.seed)

    def enter(self, call: Call, environ: Mapping[str, Any]) -> tuple[errors.Answer | None, str]:
        """Let a request in: return a refusal or None, and what to do once it is answered.

        The latter is ``lost`` (cut the connection), ``hold`` (stop the client here) or nothing.
        Raises: Lost for a request whose client is never to have an answer.
        """
        settings = self.world.settings
        with self.changed:
            if call.key in self.dead:
                raise Lost
            self.numbers[call.key] += 1
            number, hold = self.numbers[call.key], settings.hold
            afterwards = ""
            if hold is not None and hold.key == call.key and number >= hold.at:
                if number > hold.at or not hold.performed:
                    self._stop(call.key, announce=number == hold.at)
                    raise Lost
                afterwards = "hold"
            record = {
                "number": number, "service": call.service, "action": call.action, "region": call.region,
                "key": call.key, "bytes": len(call.body), "at": time.monotonic(),
            }  # fmt: skip
            self.log.append(record)
            refusal = self._refusal(call, environ)
            if refusal is not None:
                kind, text = refusal
                record["refused"] = kind
                if kind == "cut":
                    raise Lost
                if kind == "lost":
                    return None, "lost"
                return errors.answer(kind, text, call.service), afterwards
        return None, afterwards

    def leave(self, call: Call, afterwards: str) -> None:
        """Finish a request that was carried out. Raises: Lost instead of an answer."""
        if afterwards == "hold":
            with self.changed:
                self._stop(call.key, announce=True)
        if afterwards:
            raise Lost

    def _stop(self, key: str, announce: bool) -> None:
        """Keep the caller waiting until the hold is released; its client counts as dead from then on."""
        if announce:
            self.held = True
            self.changed.notify_all()
        self.changed.wait_for(lambda: key in self.dead or self.world.settings.hold is None)

    def wait_held(self, seconds: float) -> bool:
        """Wait until a client has come to its hold."""
        with self.changed:
            return self.changed.wait_for(lambda: self.held, seconds)

    def release(self) -> None:
        """End the hold. No request of that client's key is carried out any more."""
        with self.changed:
            hold = self.world.settings.hold
            if hold is not None:
                self.dead.add(hold.key)
            self.world.settings.hold = None
            self.held = False
            self.changed.notify_all()

    def _refusal(self, call: Call, environ: Mapping[str, Any]) -> tuple[str, str] | None:
        settings = self.world.settings
        if call.key in settings.refused_keys:
            return "unknown-key", "The security token included in the request is invalid."
        if call.region not in settings.regions or call.region in settings.not_opted_in:
            return "unknown-key", "AWS was not able to validate the provided access credentials"
        if call.service == "s3" and (problem := _digest_problem(environ, call.body)):
            return problem
        for rule in settings.rules:
            if self._applies(rule, call):
                return rule.error, rule.message
        return None

    def _applies(self, rule: Rule, call: Call) -> bool:
        if not rule.matches(call.service, call.action, call.region, call.key):
            return False
        rule.seen += 1
        if rule.seen <= rule.skip or (rule.times is not None and rule.done >= rule.times):
            return False
        if rule.share < 1.0 and self.random.random() >= rule.share:
            return False
        rule.done += 1
        return True


def _digest_problem(environ: Mapping[str, Any], body: bytes) -> tuple[str, str] | None:
    """Return a refusal if a body does not have the SHA-256 that was sent with it: moto does not look."""
    given = environ.get("HTTP_X_AMZ_CHECKSUM_SHA256")
    if (
        given is None
        or environ["REQUEST_METHOD"] != "PUT"
        or "aws-chunked" in environ.get("HTTP_CONTENT_ENCODING", "")
    ):
        return None
    if base64.b64encode(hashlib.sha256(body).digest()).decode() != given:
        return "BadDigest", "The SHA256 you specified did not match the calculated checksum."
    return None
