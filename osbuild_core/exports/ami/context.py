"""What all parts of a run share: the configuration, the image, the clients, the state, the clock."""

from __future__ import annotations

import copy
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from osbuild_core.exports.ami import events
from osbuild_core.exports.ami.names import ROOT, SOURCE_PREFIX, snapshot_name
from osbuild_core.exports.ami.source import Source
from osbuild_core.exports.aws.errors import AwsError, from_aws, of_aws
from osbuild_core.exports.aws.file import Scan
from osbuild_core.exports.aws.pace import Pace
from osbuild_core.exports.aws.state import State, default_state_dir
from osbuild_core.exports.aws.tags import tag_list
from osbuild_core.exports.s3.bucket import Bucket

if TYPE_CHECKING:
    from osbuild_core.exports.ami.config import Configuration, Image
    from osbuild_core.exports.aws.clients import Clients


class Context:
    """The configuration of a run and what follows from it.

    Made from files as awspub's is, or with :meth:`of` from a configuration that was read already. A context
    manager, which closes the image.
    """

    def __init__(
        self,
        conf_path: Path,
        conf_template_mapping_path: Path | None = None,
        *,
        clients: Clients | None = None,
        on_event: events.Sink | None = None,
        state_dir: Path | None = None,
        pace: Pace | None = None,
    ) -> None:
        """Raises AwsError ``ami.config`` or ``ami.mapping``."""
        self._bind(
            load_configuration(conf_path, conf_template_mapping_path), clients, on_event, state_dir, pace
        )

    @classmethod
    def of(
        cls,
        configuration: Configuration,
        *,
        clients: Clients | None = None,
        on_event: events.Sink | None = None,
        state_dir: Path | None = None,
        pace: Pace | None = None,
    ) -> Context:
        """Return the context of a parsed configuration."""
        context = cls.__new__(cls)
        context._bind(configuration, clients, on_event, state_dir, pace)
        return context

    def _bind(
        self,
        configuration: Configuration,
        clients: Clients | None,
        on_event: events.Sink | None,
        state_dir: Path | None,
        pace: Pace | None,
    ) -> None:
        self.configuration = configuration
        self.state = State(state_dir or default_state_dir("ami"))
        self.pace = pace or Pace()
        self._given_clients = clients
        self._sink = on_event or events.ignore
        self._lock = threading.RLock()
        self._scans: dict[int, Scan] = {}
        self._buckets: dict[str, Bucket] = {}
        self._only: str | None = None

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the image, if it was opened."""
        source = self.__dict__.pop("source", None)
        if source is not None:
            source.close()

    def emit(self, event: events.Event) -> None:
        """Pass on ``event``, one at a time."""
        with self._lock:
            self._sink(event)

    def limited_to(self, image_name: str) -> Context:
        """Return a context for one image only; what the two have opened, they share."""
        limited = copy.copy(self)
        limited._only = image_name
        return limited

    def selected(self, group: str | None = None) -> dict[str, Image]:
        """Return the images that a command is for, those of ``group`` where one is named. Raises AwsError."""
        images = self.configuration.selected(group)
        return {name: image for name, image in images.items() if self._only in (None, name)}

    @property
    def conf(self) -> Configuration:
        """The configuration, by awspub's name for it."""
        return self.configuration

    @cached_property
    def clients(self) -> Clients:
        """What makes the clients of AWS's services."""
        if self._given_clients is not None:
            return self._given_clients
        from osbuild_core.exports.aws.clients import BotoClients

        return BotoClients()

    @cached_property
    def source(self) -> Source:
        """The image. Raises AwsError ``aws.source``."""
        wanted = self.configuration.source
        return Source(wanted.path, self.state, image_format=wanted.format)

    def scan(self, block_size: int) -> Scan:
        """Return the digests of the image and of its blocks."""
        with self._lock:
            scan = self._scans.get(block_size)
            if scan is None:
                scan = self._scans[block_size] = self.source.scan(block_size)
                data = min(self.source.size, len(scan.data_blocks()) * block_size)
                path = str(self.source.path)
                self.emit(events.Scanned(path, scan.sha256, self.source.size, data, scan.cached))
            return scan

    @cached_property
    def method(self) -> str:
        """The way up, ``s3`` or ``ebs``. Raises AwsError where there is none."""
        configuration = self.configuration
        if configuration.upload is None:
            chosen = "ebs" if configuration.s3 is None else "s3"
        else:
            chosen = configuration.upload
        if chosen == "ebs" and self.source.format != "raw":
            raise AwsError(
                f"a {self.source.format} image needs a bucket",
                code="ami.config",
                hint="give s3: bucket_name, or convert it: qemu-img convert -O raw",
                place=("awspub", "upload" if configuration.upload else "s3"),
            )
        return chosen

    @property
    def source_sha256(self) -> str:
        """The SHA256 of the image in hexadecimal; the key in S3, the name of its snapshots."""
        if self._scans:
            return next(iter(self._scans.values())).sha256
        if self.method == "ebs":
            from osbuild_core.exports.ami.ebs import BLOCK

            return self.scan(BLOCK).sha256
        from osbuild_core.exports.s3.parts import part_size

        return self.scan(part_size(self.source.size)).sha256

    @property
    def tags_dict(self) -> dict[str, str]:
        """The tags of every resource: where it comes from, and those of the configuration."""
        source = self.configuration.source
        return {
            f"{SOURCE_PREFIX}filename": source.path.name,
            f"{SOURCE_PREFIX}architecture": source.architecture,
            f"{SOURCE_PREFIX}sha256": self.source_sha256,
            **self.configuration.tags,
        }

    @property
    def tags(self) -> list[dict[str, str]]:
        """:attr:`tags_dict` as the EC2 API takes it."""
        return tag_list(self.tags_dict)

    def snapshot_name(self, image_name: str) -> str:
        """Return the name of the snapshot that an image stands on."""
        image = self.configuration.images[image_name]
        return snapshot_name(
            self.source_sha256,
            image_name,
            separate=image.separate_snapshot,
            billing_products=image.billing_products or (),
            kms_key_id=image.kms_key_id,
        )

    def bucket(self, name: str) -> Bucket:
        """Return the bucket ``name``, which is asked for once where it is."""
        with self._lock:
            found = self._buckets.get(name)
            if found is None:
                place = (ROOT, "s3", "bucket_name")
                found = self._buckets[name] = Bucket(self.clients, name, home=self.home_region, place=place)
            return found

    @cached_property
    def home_region(self) -> str:
        """A region to ask what concerns the whole account: the default one, else the first of an image.

        Raises AwsError ``aws.region`` where there is none.
        """
        region = self.clients.default_region
        if region:
            return region
        for image in self.configuration.images.values():
            if image.regions:
                return image.regions[0]
        raise AwsError(
            "no AWS region is set",
            code="aws.region",
            hint="set AWS_DEFAULT_REGION, a region in the profile, or regions of an image",
        )

    @cached_property
    def partition(self) -> str:
        """The partition of the account, such as ``aws``."""
        return self.clients.partition(self.home_region)

    @cached_property
    def account(self) -> str:
        """The number of the account. Raises AwsError."""
        try:
            return str(self.clients("sts", self.home_region).get_caller_identity()["Account"])
        except Exception as error:
            if not from_aws(error):
                raise
            raise of_aws(error, "find out the account") from error


def load_configuration(path: Path, mapping: Path | None) -> Configuration:
    """Return the configuration of files. Raises AwsError, also where pydantic is missing."""
    try:
        from osbuild_core.exports.ami.config import load
    except ImportError as error:
        if error.name and error.name.startswith("osbuild_core"):
            raise
        raise AwsError(
            f"{error.name} is not installed", code="ami.pydantic", hint="pip install 'osbuild-core[aws]'"
        ) from error
    return load(path, mapping)
