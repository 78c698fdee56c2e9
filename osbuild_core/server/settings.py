"""The settings of the service, from a TOML file and the environment (``OSBUILD_CORE_…``); see settings_file.py."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from osbuild_core.exports.compose.configuration import ComposeSettings, ContentSet, PackageTag, RawConfig
from osbuild_core.exports.compose.parsing import RequestRules

PREFIX = "OSBUILD_CORE_"
ANYTHING = ""
"""In an allow-list, as in ODCS: everything is allowed."""


class Part(BaseModel):
    """A table of the file; a key that is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Allowed(Part):
    """What a client may ask for; None: what holds for all (``access.allowed``). ``[""]`` is anything."""

    source_types: list[str] | None = None
    sources: list[str] | None = None
    flags: list[str] | None = None
    results: list[str] | None = None
    arches: list[str] | None = None
    compose_types: list[str] | None = None
    raw_config_keys: list[str] | None = None
    target_dirs: list[str] | None = None


def _allowed() -> Allowed:
    types = ["tag", "module", "pulp", "raw_config", "build", "pungi_compose", "repo"]
    return Allowed(
        source_types=types,
        **{
            name: [ANYTHING]
            for name in (
                "sources",
                "flags",
                "results",
                "arches",
                "compose_types",
                "raw_config_keys",
                "target_dirs",
            )
        },
    )


class Members(Part):
    """Users and groups, by name; ``*`` stands for everyone who has said who they are."""

    users: list[str] = []
    groups: list[str] = []


class Clients(Part):
    """Users and groups that may make composes, each with what it may ask for; ``*`` as in :class:`Members`."""

    users: dict[str, Allowed] = {}
    groups: dict[str, Allowed] = {}


class Access(Part):
    """Who may do what. ``public_read``: reading takes no authentication, as in ODCS.

    ``builders`` may submit manifests. Their stages run as root of the workers' machines, in a sandbox that is no
    wall against who means harm: name only who is trusted like an administrator of those.
    """

    admins: Members = Members()
    clients: Clients = Clients()
    readers: Members = Members()
    builders: Members = Members()
    allowed: Allowed = Field(default_factory=_allowed)
    public_read: bool = True


class Oidc(Part):
    """A provider of OpenID Connect whose bearer tokens count.

    ``audience`` has to be among the token's. ``scope_prefix`` + ``new-compose`` (``renew-``, ``delete-``) have to
    be among its scopes, where it is set.
    """

    issuer: str
    audience: str
    username_claim: str = "preferred_username"
    groups_claim: str = "groups"
    scope_prefix: str | None = None
    keys_seconds: float = 3600.0

    @field_validator("issuer")
    @classmethod
    def _secure(cls, value: str) -> str:
        from osbuild_core.server.listen import is_loopback_url

        if not value.startswith("https://") and not is_loopback_url(value):
            raise ValueError("has to be an https address")
        return value


class Certificates(Part):
    """Client certificates that a proxy has checked. The headers count from ``trusted_proxies`` only (networks)."""

    trusted_proxies: list[ipaddress.IPv4Network | ipaddress.IPv6Network]
    subject_header: str = "X-SSL-Client-S-DN"
    verify_header: str = "X-SSL-Client-Verify"


class Limits(Part):
    """Times are seconds, sizes bytes. ``queued_per_owner`` counts what waits or is being made. Builds live for
    ``build_seconds_to_live`` after they are over, unless they ask for something else."""

    seconds_to_live: int = 24 * 3600
    max_seconds_to_live: int = 72 * 3600
    build_seconds_to_live: int = Field(default=7 * 24 * 3600, ge=1)
    max_build_seconds_to_live: int = Field(default=30 * 24 * 3600, ge=1)
    queued_per_owner: int = 100
    request_bytes: int = 4 << 20
    per_page: int = 1000
    generating_seconds: int = 6 * 3600
    attempts: int = 5


class TargetDir(Part):
    """A further directory for composes. Without ``url`` its composes have no addresses."""

    path: Path
    url: str | None = None


class Storage(Part):
    """Composes of the default directory go into a bucket. Region, credentials and, for what is not AWS, the address
    come from where boto3 finds them. ``redirect``: clients are sent there with signed addresses."""

    bucket: str
    prefix: str = "composes/"
    redirect: bool = False

    @field_validator("prefix")
    @classmethod
    def _folder(cls, value: str) -> str:
        if value and (not value.endswith("/") or value.startswith("/")):
            raise ValueError("has to end with a slash, and not to begin with one")
        return value


class Tag(Part):
    repos: list[str] = []
    packages: list[str] = []
    inherits: list[str] = []


class PulpSet(Part):
    url: str
    arches: list[str] = []
    sigkeys: list[str] = []
    published: bool = True


class Raw(Part):
    """``longest`` is the most seconds that its composes may live, where that differs."""

    url: str
    template: str
    variables: dict[str, str] = {}
    export: str | None = None
    longest: int | None = None


class Bounds(Part):
    """What a process that is confined may have with all that it starts: bytes of ``memory`` (the cache of files does
    not count), ``processes`` and threads, ``seconds`` by the clock, bytes of one ``file``. It ends where the file
    system of ``data`` has less than ``free`` bytes left."""

    memory: int = Field(default=8 << 30, ge=64 << 20)
    processes: int = Field(default=1024, ge=16)
    seconds: float = Field(default=3 * 3600.0, gt=0)
    file: int = Field(default=16 << 30, ge=1 << 20)
    free: int = Field(default=1 << 30, ge=0)


class Composes(Part):
    """Where packages come from. ``allowed_sources`` are prefixes of addresses and paths; None: any address that
    is not private, and no path. ``confine``: composes are made in a user namespace (None: those of who is not
    trusted), whose root is the user ``first_id`` of the machine; ``bounds`` are for these."""

    tags: dict[str, Tag] = {}
    content_sets: dict[str, PulpSet] = {}
    raw_configs: dict[str, Raw] = {}
    build_repos: list[str] = []
    module_repos: list[str] = []
    arches: list[str] = ["x86_64"]
    sigkeys: list[str] = []
    signing_key: str | None = None
    gnupg_home: Path | None = None
    allowed_sources: list[str] | None = None
    apt_keyrings: dict[str, Path] = {}
    generator: str = "osbuild_core.exports.compose.generate"
    confine: bool | None = None
    first_id: int = Field(default=2_000_000_000, ge=65536, lt=(1 << 32) - 65537)
    bounds: Bounds = Bounds()


class Queue(Part):
    """How workers share the work. ``lease`` is for how many seconds a worker has it without a sign of life."""

    lease: float = 30.0
    poll: float = 1.0
    slots: int = 1
    maintenance: float = 60.0


class Keep(Part):
    """For how long what can be had again is kept that nobody uses, and how much of it: seconds and bytes (None: as
    much as there is). A worker looks every ``look_seconds``."""

    indexes_seconds: int = Field(default=7 * 24 * 3600, ge=0)
    indexes_bytes: int | None = Field(default=20 << 30, ge=0)
    store_seconds: int = Field(default=30 * 24 * 3600, ge=0)
    store_bytes: int | None = Field(default=None, ge=0)
    look_seconds: float = Field(default=3600.0, gt=0)


class ServerSettings(BaseSettings):
    """Everything. ``data`` holds what has no other place: database, composes, builds, store.

    ``url`` is how clients reach the service; what it does not say is said by ``proxies``, whose headers count.
    Paths may begin with ``root_path``. ``broker`` wakes workers of other machines. ``authentication`` names what
    counts: ``token``, ``oidc``, ``certificate``; none of them: only this machine's users are served, on loopback.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="ignore", frozen=True
    )

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    url: str | None = None
    hosts: list[str] = []
    proxies: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
    root_path: str = ""
    data: Path = Path("/var/lib/osbuild-core")
    database: str | None = None
    target_dir: Path | None = None
    target_dirs: dict[str, TargetDir] = {}
    storage: Storage | None = None
    store: Path | None = None
    library: Path | None = None
    jobs: int | None = None
    broker: str | None = None
    worker: bool = True
    log_format: Literal["text", "json"] = "text"
    authentication: list[Literal["token", "oidc", "certificate"]] = []
    oidc: list[Oidc] = []
    certificate: Certificates | None = None
    access: Access = Access()
    limits: Limits = Limits()
    composes: Composes = Composes()
    queue: Queue = Queue()
    keep: Keep = Keep()

    @field_validator("root_path")
    @classmethod
    def _plain_path(cls, value: str) -> str:
        if value and not re.fullmatch(r"(?:/[A-Za-z0-9._~-]+)+", value):
            raise ValueError("has to begin with a slash, and not to end with one")
        return value

    @field_validator("broker")
    @classmethod
    def _known_broker(cls, value: str | None) -> str | None:
        from osbuild_core.server.broker import SCHEMES

        if value is not None and value.partition("://")[0] not in SCHEMES:
            raise ValueError(f"has to be an address that begins with {', '.join(f'{s}://' for s in SCHEMES)}")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if "oidc" in self.authentication and not self.oidc:
            raise ValueError("authentication has oidc, so an [[oidc]] with issuer and audience is needed")
        if "certificate" in self.authentication and self.certificate is None:
            raise ValueError("authentication has certificate, so [certificate] trusted_proxies is needed")
        if self.proxies and not self.authentication:
            # Whoever reaches the proxy would be who runs it.
            raise ValueError("a service behind proxies needs authentication")
        if "default" in self.target_dirs:
            raise ValueError("target_dirs: 'default' is what target_dir says")
        return self

    @property
    def directory(self) -> Path:
        """Where composes go unless told."""
        return self.target_dir or self.data / "composes"

    @property
    def builds(self) -> Path:
        return self.data / "builds"

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite+aiosqlite:///{self.data.absolute()}/server.sqlite"

    @property
    def allowed_sources(self) -> tuple[str, ...] | None:
        """Where packages may come from. A service without authentication serves the user who started it: what that
        one can read anyway."""
        if self.composes.allowed_sources is not None:
            return tuple(self.composes.allowed_sources)
        return None if self.authentication else ("/", "file:///", "http://", "https://")

    def rules(self) -> RequestRules:
        """Return what requests are checked against."""
        raw = self.composes.raw_configs
        return RequestRules(
            seconds_to_live=self.limits.seconds_to_live,
            max_seconds_to_live=self.limits.max_seconds_to_live,
            arches=tuple(self.composes.arches),
            sigkeys=tuple(self.composes.sigkeys),
            target_dirs=tuple(self.target_dirs),
            raw_config_names=tuple(raw),
            raw_config_ttl={name: one.longest for name, one in raw.items() if one.longest is not None},
        )

    def compose_settings(self) -> ComposeSettings:
        """Return what makes composes."""
        mine = self.composes
        return ComposeSettings(
            store=self.store or self.data / "store",
            library=self.library,
            jobs=self.jobs,
            tags={
                name: PackageTag(tuple(tag.repos), tuple(tag.packages), tuple(tag.inherits))
                for name, tag in mine.tags.items()
            },
            build_repos=tuple(mine.build_repos),
            content_sets={
                name: ContentSet(one.url, tuple(one.arches), tuple(one.sigkeys), one.published)
                for name, one in mine.content_sets.items()
            },
            raw_configs={
                name: RawConfig(one.url, one.template, one.variables, one.export)
                for name, one in mine.raw_configs.items()
            },
            module_repos=tuple(mine.module_repos),
            signing_key=mine.signing_key,
            gnupg_home=mine.gnupg_home,
            allowed_sources=self.allowed_sources,
            apt_keyrings=mine.apt_keyrings,
            state_dir=self.data / "indexes",
        )
