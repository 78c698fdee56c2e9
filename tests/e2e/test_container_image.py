"""The image of examples/service/Containerfile and the services of docs/service.md, without a container engine.

The instructions are carried out in a Debian that we build ourselves, and what ``compose.yaml`` starts is started in
it by bubblewrap, with the rights that a container engine would give it, on this machine's loopback. Packages come
from where apt and pip of this machine find them.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from osbuild_core.server.page.routes import EXAMPLE
from tests.docs.pages import ROOT, blocks_of
from tests.emulator import postgresql
from tests.emulator.rabbitmq import free_ports
from tests.integration.server.running import address, ended, until
from tests.packages.rpms import Rpm, repository

from .debian import build, resolve

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.soak]

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Of containers that are not privileged (capabilities(7)).
RIGHTS = (
    *("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("NET_BIND_SERVICE", "NET_RAW", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SETFCAP"),
)
MANIFEST = EXAMPLE["manifest"]


def text_of(name: str) -> str:
    """Return the file of this name on the page."""
    (block,) = [block for block in blocks_of(ROOT / "docs/service.md") if block.markers.get("file") == name]
    return block.text


@dataclass
class Image:
    """What the instructions have made of ``tree``."""

    tree: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH, "HOME": "/root"})
    command: list[str] = field(default_factory=list)

    def argv(
        self, *command: str, privileged: bool = False, binds: Mapping[str, str] | None = None, **more: str
    ) -> list[str]:
        """Return what runs ``command`` in a container; ``binds`` are paths there to paths here, ``more`` its
        environment."""
        rights = ["ALL"] if privileged else [f"CAP_{name}" for name in RIGHTS]
        return [
            *("bwrap", "--bind", str(self.tree), "/", "--unshare-pid", "--unshare-ipc"),
            *(("--dev-bind", "/dev", "/dev", "--bind", "/sys", "/sys") if privileged else ("--dev", "/dev")),
            *(() if privileged else ("--proc", "/proc")),
            *("--ro-bind", "/etc/resolv.conf", "/etc/resolv.conf", "--ro-bind", "/etc/hosts", "/etc/hosts"),
            *(word for there, here in (binds or {}).items() for word in ("--ro-bind", here, there)),
            *("--cap-drop", "ALL", *(word for right in rights for word in ("--cap-add", right))),
            *("--die-with-parent", "--clearenv"),
            *(w for item in {**self.environment, **more}.items() for w in ("--setenv", *item)),
            "--",
            # With nothing of it covered, as engines have it for who is privileged, and bubblewrap for nobody.
            *(("/bin/sh", "-c", 'mount -t proc proc /proc && exec "$@"', "sh") if privileged else ()),
            *command,
        ]

    def run(self, *command: str, **more: Any) -> str:
        done = subprocess.run(self.argv(*command, **more), capture_output=True, text=True, cwd="/")
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield the instructions of a Containerfile and what comes after each."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield name, rest.strip()


def machine() -> dict[str, Any]:
    """Return what leads apt and pip in a container to where those of this machine get packages."""
    binds = {"/etc/apt": "/etc/apt"}
    more = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    # The image brings certificates of its own when it installs them; this machine may have more.
    for name in [os.environ.get("PIP_CERT"), "/etc/ssl/certs/ca-certificates.crt"]:
        if name and Path(name).exists():
            binds["/run/machine.crt"], more["PIP_CERT"] = name, "/run/machine.crt"
            break
    if Path("/etc/pip.conf").exists():
        binds["/etc/pip.conf"] = "/etc/pip.conf"
    return {"binds": binds, **more}


def copy_context(target: Path) -> None:
    """Do what ``COPY . TARGET`` does."""
    patterns = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]

    def ignored(folder: str, names: list[str]) -> set[str]:
        is_top = Path(folder) == ROOT
        here = [p.removeprefix("**/") for p in patterns if is_top or p.startswith("**/")]
        return {name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in here)}

    shutil.copytree(ROOT, target, symlinks=True, ignore=ignored, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    folder = tmp_path_factory.mktemp("image")
    made: Image | None = None
    for name, rest in instructions((ROOT / "examples/service/Containerfile").read_text()):
        if name == "FROM":
            release = re.fullmatch(r"docker\.io/library/debian:([0-9]+)", rest)
            assert release is not None, rest
            manifest = resolve(folder, "debian-minimal")
            made = Image(build(folder, manifest, folder / "store", "tree") / "tree")
            assert (made.tree / "etc/debian_version").read_text().startswith(release[1] + ".")
            continue
        assert made is not None, "FROM comes first"
        if name == "RUN":
            made.run("/bin/sh", "-c", rest, **machine())
        elif name == "COPY":
            source, target = rest.split()
            assert source == "."
            copy_context(made.tree / target.lstrip("/"))
        elif name == "CMD":
            made.command = json.loads(rest)
        else:
            assert name == "EXPOSE", f"{name} is not carried out here"
    assert made is not None
    return made


@contextmanager
def started(image: Image, directory: Path, *command: str, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a command in a container until the end; what it logs goes to ``directory``."""
    process = subprocess.Popen(
        image.argv(*command, **more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=(directory / "server.log").open("a"),
        text=True,
        cwd="/",
    )
    try:
        yield process
    finally:
        ended(process)


def test_the_image_by_itself(image: Image, tmp_path: Path) -> None:
    """Its own command serves, with settings that say no more than a port."""
    (port,) = free_ports(1)
    settings = image.tree / "etc/osbuild-core/server.toml"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text(f'port = {port}\ndata = "/var/lib/alone"\n')
    with started(image, tmp_path, *image.command) as process:
        url = address(process, tmp_path)
        assert requests.get(f"{url}/ready", timeout=30).json() == {"status": "ok"}
        assert requests.get(f"{url}/api/1/about/", timeout=30).json()["auth_backend"] == "noauth"


@dataclass
class Deployed:
    """All of ``compose.yaml``, and tokens by user."""

    url: str
    tokens: dict[str, str]
    image: Image
    described: dict[str, Any]
    port: int

    def call(self, user: str, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.tokens[user]}"}
        return requests.request(method, self.url + path, headers=headers, timeout=60, **options)


@pytest.fixture(scope="module")
def deployed(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    directory = tmp_path_factory.mktemp("deployed")
    described = yaml.safe_load(text_of("compose.yaml"))
    services = described["services"]
    packages = repository(
        directory / "packages", [Rpm("words", arch="noarch", files={"/usr/share/words": "w"})]
    )
    (port,) = free_ports(1)
    # Only the address, and where packages come from that can be had here.
    settings = text_of("server.toml")
    for known, new in {
        'host = "0.0.0.0"\n': f'host = "127.0.0.1"\nport = {port}\n',
        '"https://packages.example.org/qa"': '"/packages"',
        "[composes.tags.nightly]": '[composes]\nallowed_sources = ["/packages"]\n[composes.tags.nightly]',
    }.items():
        assert known in settings
        settings = settings.replace(known, new)
    (directory / "server.toml").write_text(settings)
    secrets = dict(line.split("=", 1) for line in text_of("secrets.env").splitlines())
    with ExitStack() as stack:
        try:
            database = stack.enter_context(postgresql.running())
        except postgresql.UnavailableError as error:
            pytest.skip(str(error))
        socket = database.partition("?host=")[2]
        user = services["database"]["environment"]["POSTGRES_USER"]
        postgresql.query(database, f"CREATE ROLE {user} LOGIN PASSWORD '{secrets['POSTGRES_PASSWORD']}'")
        postgresql.query(
            database, f"CREATE DATABASE {services['database']['environment']['POSTGRES_DB']} OWNER {user}"
        )
        healthy = services["database"]["healthcheck"]["test"]
        subprocess.run(["/bin/sh", "-c", healthy], check=True, env={**os.environ, "PGHOST": socket})
        assert "@database/" in secrets["OSBUILD_CORE_DATABASE"]
        address_there = secrets["OSBUILD_CORE_DATABASE"].replace("@database/", "@/") + "?host=/database"
        more: dict[str, Any] = {
            "binds": {
                "/etc/osbuild-core/server.toml": str(directory / "server.toml"),
                "/packages": str(packages),
                "/database": socket,
            },
            "OSBUILD_CORE_DATABASE": address_there,
        }
        server = stack.enter_context(
            started(image, directory, *shlex.split(services["server"]["command"]), **more)
        )
        url = address(server, directory)
        serve = ["osbuild-core", "serve", "--config", "/etc/osbuild-core/server.toml", "token"]
        tokens = {
            name: image.run(*serve, name, *words, **more).strip()
            for name, words in {"alice": ["--group", "qa"], "image-bot": []}.items()
        }
        assert services["worker"]["privileged"] is True
        stack.enter_context(
            started(image, directory, *shlex.split(services["worker"]["command"]), privileged=True, **more)
        )
        yield Deployed(url, tokens, image, described, port)


def test_the_health_check_says_so(deployed: Deployed) -> None:
    check = deployed.described["services"]["server"]["healthcheck"]["test"]
    assert ":8080/" in check
    deployed.image.run("/bin/sh", "-c", check.replace(":8080/", f":{deployed.port}/"))
    (other,) = free_ports(1)
    argv = deployed.image.argv("/bin/sh", "-c", check.replace(":8080/", f":{other}/"))
    assert subprocess.run(argv, capture_output=True, cwd="/").returncode != 0


def test_a_build(deployed: Deployed) -> None:
    asked = deployed.call("image-bot", "POST", "/builds", json={"manifest": MANIFEST, "exports": ["tree"]})
    assert asked.status_code == 202, asked.text
    path = f"/builds/{asked.json()['id']}"
    done = until(
        lambda: deployed.call("image-bot", "GET", path).json(),
        lambda found: found["state_name"] in ("done", "failed"),
    )
    assert done["state_name"] == "done", deployed.call("image-bot", "GET", f"{path}/log").text
    assert deployed.call("image-bot", "GET", f"{path}/files/tree/etc/hostname").text == "built\n"


def test_a_compose_of_who_is_not_trusted(deployed: Deployed) -> None:
    source = {"type": "repo", "source": "/packages", "packages": ["words"]}
    asked = deployed.call("alice", "POST", "/api/1/composes/", json={"source": source})
    assert asked.status_code == 200, asked.text
    path = f"/api/1/composes/{asked.json()['id']}"
    done = until(
        lambda: deployed.call("alice", "GET", path).json(),
        lambda found: found["state_name"] in ("done", "failed"),
    )
    assert done["state_name"] == "done", done["state_reason"]
    file = done["result_repofile"].removeprefix("https://composes.example.org")
    assert deployed.call("alice", "GET", file).text.startswith(f"[odcs-{done['id']}]")
