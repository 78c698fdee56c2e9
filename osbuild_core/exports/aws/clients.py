"""The clients of AWS's services: made once for each service and region, whoever asks."""

from __future__ import annotations

import threading
from typing import Any, Protocol

from osbuild_core.exports.aws.errors import AwsError, of_aws

ATTEMPTS = 10
"""How often a request is tried that is throttled or meets an error of the server or the network."""

CONNECTIONS = 64


class Clients(Protocol):
    """What makes clients. ``once``: one whose requests are not tried again behind our back."""

    @property
    def default_region(self) -> str | None: ...

    def __call__(self, service: str, region: str, *, once: bool = False) -> Any: ...

    def partition(self, region: str) -> str: ...

    def regions_of(self, partition: str) -> frozenset[str]: ...

    def regions_elsewhere(self, partition: str) -> frozenset[str]: ...


class BotoClients:
    """Clients of boto3, with credentials from where boto3 finds them: environment, profile, machine's role.

    Its session may not be used by two threads at once, its clients may.
    """

    def __init__(self, *, profile: str | None = None) -> None:
        try:
            import boto3
            from botocore.exceptions import BotoCoreError
        except ImportError as error:
            raise AwsError(
                "boto3 is not installed", code="aws.boto3", hint="pip install 'osbuild-core[aws]'"
            ) from error
        try:
            self._session = boto3.session.Session(profile_name=profile)
        except BotoCoreError as error:
            raise of_aws(error, "use AWS") from error
        self._clients: dict[tuple[str, str, bool], Any] = {}
        self._lock = threading.Lock()

    @property
    def default_region(self) -> str | None:
        """The region of the environment or the profile."""
        region = self._session.region_name
        return str(region) if region else None

    def __call__(self, service: str, region: str, *, once: bool = False) -> Any:
        """Return the client for ``service`` in ``region``. Raises AwsError."""
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        key = (service, region, once)
        with self._lock:
            client = self._clients.get(key)
            if client is None:
                retries = (
                    {"total_max_attempts": 1, "mode": "standard"}
                    if once
                    # What is sent in thousands of requests slows down where it is throttled.
                    else {
                        "total_max_attempts": ATTEMPTS,
                        "mode": "adaptive" if service == "ebs" else "standard",
                    }
                )
                config = Config(
                    retries=retries,
                    max_pool_connections=CONNECTIONS if service in ("ebs", "s3") else 10,
                    connect_timeout=15,
                    user_agent_extra="osbuild-core",
                    # Addresses, too, are signed as every region accepts it.
                    signature_version="s3v4" if service == "s3" else None,
                )
                try:
                    client = self._session.client(service, region_name=region, config=config)
                except (BotoCoreError, ValueError) as error:
                    raise of_aws(error, f"use {service}", region=region) from error
                self._clients[key] = client
            return client

    def partition(self, region: str) -> str:
        """Return the partition (``aws``, ``aws-cn``) that ``region`` is in."""
        return str(self("ec2", region).meta.partition)

    def regions_of(self, partition: str) -> frozenset[str]:
        """Return the names of the regions of a partition that boto3 knows; there may be newer ones."""
        with self._lock:
            return frozenset(self._session.get_available_regions("ec2", partition))

    def regions_elsewhere(self, partition: str) -> frozenset[str]:
        """Return the names of all regions that are known in other partitions."""
        with self._lock:
            return frozenset(
                name
                for other in self._session.get_available_partitions()
                if other != partition
                for name in self._session.get_available_regions("ec2", other)
            )
