"""Starts an emulator and asks it, for tests and benchmarks."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parents[3]

SECRET = "notasecretbutnobodymayprintit0123456789x"
"""The secret key of every client; tests look for it in what is printed."""

TOKEN = "nobodymayprintthistokeneither987654321"
"""The session token of every client that gets its credentials from the environment."""


class Emulator:
    """A running emulator; a context manager that ends it."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.emulator.aws", "--port", "0"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the emulator did not start")
        self.url: str = json.loads(line)["url"]

    def __enter__(self) -> Emulator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.communicate(timeout=30)

    def control(self, name: str, given: dict[str, Any] | None = None) -> Any:
        """Make one control call and return its answer."""
        request = urllib.request.Request(f"{self.url}/emulator/{name}", data=json.dumps(given or {}).encode())
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change settings (see `settings.Settings`); return all of them."""
        return dict(self.control("settings", changes))

    def rule(self, error: str, **rest: Any) -> None:
        """Add a rule (see `settings.Rule`)."""
        self.settings(rules=[*self.settings()["rules"], {"error": error, **rest}])

    def state(self) -> dict[str, Any]:
        return dict(self.control("state"))

    def log(self) -> list[dict[str, Any]]:
        """Return the requests so far."""
        return list(self.control("log"))

    def forget_log(self) -> None:
        self.control("forget-log")

    def reset(self) -> None:
        self.control("reset")

    def advance(self, seconds: float) -> None:
        """Move the clock."""
        self.control("clock", {"advance": seconds})

    def blocks(self, region: str, snapshot: str) -> dict[int, bytes]:
        """Return the blocks of a snapshot, read with the EBS direct API."""
        ebs, found, token = self.boto("ebs", region), {}, {}
        while True:
            page = ebs.list_snapshot_blocks(SnapshotId=snapshot, **token)
            for item in page["Blocks"]:
                answer = ebs.get_snapshot_block(SnapshotId=snapshot, **item)
                found[item["BlockIndex"]] = answer["BlockData"].read()
            if "NextToken" not in page:
                return found
            token = {"NextToken": page["NextToken"]}

    @contextmanager
    def hold(self, key: str, at: int, *, performed: bool) -> Iterator[None]:
        """Stop the client with the access key ``key`` at its request number ``at``, for good.

        Within, `held` says when it has come there; afterwards nothing that it still sends is carried out.
        """
        self.settings(hold={"key": key, "at": at, "performed": performed})
        try:
            yield
        finally:
            self.control("release")

    def held(self, seconds: float = 0.0) -> bool:
        """Say whether the client has come to its hold, waiting that long for it."""
        return bool(self.control(f"held?seconds={seconds}")["held"])

    def environment(self, key: str = "AKIAEMULATORTEST0001", region: str = "us-east-1") -> dict[str, str]:
        """Return the variables with which a client comes here, and nowhere else."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_SESSION_TOKEN": TOKEN,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def boto(self, service: str, region: str = "us-east-1", key: str = "AKIAEMULATORTEST0001") -> Any:
        """Return a bare client of boto3 that repeats nothing."""
        from botocore.config import Config

        return session().client(
            service,
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=key,
            aws_secret_access_key=SECRET,
            config=Config(retries={"total_max_attempts": 1}),
        )


@functools.cache
def session() -> Any:
    """Return boto3's session: one, since each reads its models anew, which takes long for EC2's."""
    import boto3

    return boto3.Session()
