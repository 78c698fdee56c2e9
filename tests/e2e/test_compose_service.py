"""Composes as their users have them: asked for with the client of ODCS, made by the service, used by dnf and apt.

Nothing stands in for anything else: packages are built by rpmbuild and dpkg-deb, composes made by the engine, files
fetched over HTTP.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.emulator import odcs
from tests.emulator.awspub import cache_directory
from tests.integration.compose.test_compose_sources import git, module
from tests.integration.server.running import Service, service, until
from tests.packages import archives, keys
from tests.packages.archives import machine
from tests.packages.keys import Key
from tests.packages.rpms import Rpm, repository

pytestmark = pytest.mark.root
CACHE = cache_directory()
"""Asked for now: tests have caches of their own."""

LIB = {"source": "libtext", "version": "2.0"}
RPMS = [
    Rpm("ed", requires=("libtext(x86-64) = 2.0", "words"), files={"/usr/bin/ed": "ed"}),
    Rpm("ed-debuginfo", source="ed", files={"/usr/lib/debug/ed.debug": "d"}),
    Rpm("ed", arch="i686", requires=("libtext(x86-32) = 2.0", "words"), files={"/usr/bin/ed": "ed of i686"}),
    Rpm("libtext", **LIB, files={"/usr/lib64/libtext.so.2": "64"}),
    Rpm("libtext", **LIB, arch="i686", requires=("base32",), files={"/usr/lib/libtext.so.2": "32"}),
    Rpm("base32", arch="i686", files={"/usr/share/base32": "b"}),
    Rpm("words", arch="noarch", files={"/usr/share/words": "w"}),
    Rpm("other", files={"/usr/share/other": "o"}),
]


@dataclass(frozen=True)
class Sources:
    """Where packages come from, and the key that composes are signed with."""

    rpms: Path
    debs: Path
    key: Key


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sources]:
    base = tmp_path_factory.mktemp("sources")
    rpms = repository(base / "rpms", RPMS, sources=True, revision=17)
    documents = [module("editors", 1, ["ed-0:1.0-1.x86_64", "words-0:1.0-1.noarch"])]
    (base / "modules.yaml").write_text(yaml.safe_dump_all(documents))
    command = ["modifyrepo_c", "--mdtype=modules", str(base / "modules.yaml"), str(rpms / "repodata")]
    subprocess.run(command, check=True, capture_output=True)
    key = keys.make(base / "key", "composes@example.org")
    debs = base / "debs"
    archives.add(debs, "hello", {"Depends": "greet (>= 1)"})
    archives.add(debs, "greet", {"Architecture": "all"})
    archives.add(debs, "other")
    archives.write(debs, key=key)
    templates = base / "git"
    templates.mkdir()
    git(templates, "init", "--quiet", "--initial-branch", "main")
    stage = {"type": "org.osbuild.mkdir", "options": {"paths": [{"path": "/made"}]}}
    (templates / "image.yaml").write_text(yaml.safe_dump({"pipelines": [{"name": "t", "stages": [stage]}]}))
    git(templates, "add", ".")
    git(templates, "commit", "--quiet", "-m", "one")
    yield Sources(rpms, debs, key)
    keys.end(key)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, sources: Sources) -> Iterator[Service]:
    base = sources.rpms.parent
    composes = {
        "generator": "osbuild_core.exports.compose.generate",
        "tags": {"base": {"repos": [str(sources.rpms)]}},
        "build_repos": [str(sources.rpms)],
        "module_repos": [str(sources.rpms)],
        "content_sets": {"contents": {"url": "http://packages.test/contents"}},
        "raw_configs": {"image": {"url": f"file://{base}/git", "template": "image.yaml"}},
        "apt_keyrings": {f"file://{sources.debs}": str(sources.key.public)},
        "signing_key": sources.key.fingerprint,
        "gnupg_home": str(sources.key.home),
    }
    settings = {"composes": composes, "queue": {"slots": 2, "maintenance": 0.3}}
    with service(tmp_path_factory.mktemp("served"), settings) as found:
        yield found


@pytest.fixture(scope="module")
def programs() -> Path:
    try:
        return odcs.installed(CACHE)
    except odcs.UnavailableError as error:
        pytest.skip(str(error))


LIBRARY = """
import io, json, sys, time
from contextlib import redirect_stdout
from odcs.client.odcs import ODCS, AuthMech, ComposeSourceGeneric

odcs = ODCS(sys.argv[1], auth_mech=AuthMech.Anonymous)
asked = dict(
    arches=["x86_64", "i686"], multilib_arches=["x86_64"], multilib_method=["runtime"], flags=["check_deps"],
    seconds_to_live=6000, label="RC-1.0",
)
source = ComposeSourceGeneric(sys.argv[2], "repo", packages=["ed"])
first = odcs.request_compose(source, **asked)
printed = io.StringIO()
with redirect_stdout(printed):
    seen = {"first": odcs.wait_for_compose(first["id"], timeout=120, watch_logs=True)}
seen["log"] = printed.getvalue()
seen["same"] = odcs.wait_for_compose(odcs.request_compose(source, **asked)["id"], timeout=60)
seen["renewed"] = odcs.renew_compose(first["id"], seconds_to_live=9000)
seen["broken"] = odcs.wait_for_compose(
    odcs.new_compose(sys.argv[2], "repo", packages=["nothing"])["id"], timeout=60
)
doomed = odcs.wait_for_compose(odcs.new_compose("base", "tag", packages=["other"])["id"], timeout=60)
odcs.delete_compose(doomed["id"])
while odcs.get_compose(doomed["id"])["state_name"] != "removed":
    time.sleep(0.1)
seen["doomed"] = doomed
seen["again"] = odcs.wait_for_compose(odcs.renew_compose(doomed["id"])["id"], timeout=60)
seen["found"] = odcs.find_composes(state=2, label="RC-1.0")
json.dump(seen, sys.stdout)
"""


@pytest.fixture(scope="module")
def life(programs: Path, served: Service, sources: Sources, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the client's library saw of composes through their lives."""
    done = subprocess.run(
        [str(programs / "python"), "-c", LIBRARY, served.url + "/", str(sources.rpms)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "HOME": str(tmp_path_factory.mktemp("home"))},
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout.splitlines()[-1])


def listed(compose: dict[str, Any], arch: str) -> list[str]:
    """Return the packages that the metadata of a compose list, each of which the service has to give."""
    repo = f"{compose['result_repo']}/{arch}/os"
    assert requests.get(f"{repo}/repodata/repomd.xml", timeout=30).status_code == 200
    rpms = requests.get(f"{compose['toplevel_url']}/compose/metadata/rpms.json", timeout=30).json()
    found = []
    for group in rpms["payload"]["rpms"]["Temporary"][arch].values():
        for entry in group.values():
            reply = requests.head(f"{compose['toplevel_url']}/compose/{entry['path']}", timeout=30)
            assert reply.status_code == 200, entry
            if entry["category"] == "binary":
                found.append(Path(entry["path"]).name.removesuffix(".rpm"))
    return sorted(found)


def test_the_library_sees_composes_through_their_lives(life: Any, served: Service) -> None:
    first = life["first"]
    assert first["state_name"] == "done", first["state_reason"]
    assert (first["koji_event"], first["arches"], first["multilib_method"]) == (17, "x86_64 i686", 1)
    assert "packages are links to the store" in life["log"]
    assert life["same"]["toplevel_url"] == first["toplevel_url"]
    assert (life["renewed"]["id"], life["renewed"]["time_to_expire"] > first["time_to_expire"]) == (
        first["id"],
        True,
    )
    assert life["broken"]["state_name"] == "failed"
    assert "no repository has the package nothing" in life["broken"]["state_reason"]
    # It was removed, and the same was made again.
    doomed, again = life["doomed"], life["again"]
    assert requests.get(f"{doomed['toplevel_url']}/COMPOSE_ID", timeout=30).status_code == 404
    assert again["pungi_config_dump"] == doomed["pungi_config_dump"]
    assert listed(again, "x86_64") == ["other-1.0-1.x86_64"]
    assert {one["id"] for one in life["found"]["items"]} == {first["id"], life["same"]["id"]}


def test_two_arches_with_multilib(life: Any) -> None:
    assert listed(life["first"], "x86_64") == [
        *("base32-1.0-1.i686", "ed-1.0-1.x86_64", "libtext-2.0-1.i686", "libtext-2.0-1.x86_64"),
        "words-1.0-1.noarch",
    ]
    assert listed(life["first"], "i686") == [
        *("base32-1.0-1.i686", "ed-1.0-1.i686", "libtext-2.0-1.i686", "words-1.0-1.noarch"),
    ]


@pytest.fixture
def agents_end(tmp_path: Path) -> Iterator[None]:
    """dnf leaves an agent (gpg-agent(1)) for each repository whose signature it has looked at."""
    yield
    for home in tmp_path.glob("*/*/pubring"):
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"], check=True)


@pytest.mark.parametrize(
    ("arch", "asked", "files"),
    [
        (
            "x86_64",
            ("ed", "libtext.i686", "ed-debuginfo"),
            {"usr/bin/ed": "ed", "usr/lib64/libtext.so.2": "64", "usr/lib/libtext.so.2": "32"},
        ),
        ("i686", ("ed",), {"usr/bin/ed": "ed of i686", "usr/lib/libtext.so.2": "32", "usr/share/words": "w"}),
    ],
)
def test_dnf_installs_from_it(
    life: Any, tmp_path: Path, agents_end: None, arch: str, asked: tuple[str, ...], files: dict[str, str]
) -> None:
    repos = tmp_path / "repos"
    repos.mkdir()
    text = requests.get(life["first"]["result_repofile"], timeout=30).text
    (repos / "compose.repo").write_text(text)
    key = tmp_path / "key"
    base = f"{life['first']['result_repo']}/{arch}/os/repodata/repomd.xml"
    key.write_text(requests.get(f"{base}.key", timeout=30).text)
    root = tmp_path / "root"
    options = {
        "reposdir": repos,
        "cachedir": tmp_path / "cache",
        "logdir": tmp_path,
        "varsdir": tmp_path,
        "plugins": 0,
        # What the file itself leaves open: the metadata are signed by the key that is beside them.
        "*.repo_gpgcheck": 1,
        "*.gpgkey": f"file://{key}",
    }
    dnf = ["dnf", "--assumeyes", f"--installroot={root}", "--releasever=1", f"--forcearch={arch}"]
    dnf += [f"--setopt={name}={value}" for name, value in options.items()]
    done = subprocess.run([*dnf, "--enablerepo=*", "install", *asked], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for path, content in files.items():
        assert (root / path).read_text() == f"{content}\n"
    assert not (root / "usr/share/other").exists()
    # Only what is in the compose is there.
    done = subprocess.run([*dnf, "install", "other"], capture_output=True, text=True)
    assert done.returncode != 0 and "other" in done.stderr
    if arch == "i686":
        # Metadata that are signed by another key are not taken.
        other = keys.make(tmp_path / "other", "other@example.org")
        keys.end(other)
        strange = [f"--setopt=*.gpgkey=file://{other.public}", f"--setopt=cachedir={tmp_path / 'new'}"]
        done = subprocess.run([*dnf, *strange, "makecache"], capture_output=True, text=True)
        assert done.returncode != 0 and "GPG" in done.stderr, done.stdout + done.stderr


def test_apt_installs_from_a_signed_one(
    served: Service, sources: Sources, tmp_path: Path, programs: Path
) -> None:
    source = f"deb file://{sources.debs} stable main"
    asked = served.post(
        "/api/1/composes/",
        {"source": {"type": "repo", "source": source, "packages": ["hello"]}, "arches": [archives.NATIVE]},
    ).json()
    done = served.wait(asked["id"])
    assert done["state_name"] == "done", done["state_reason"]
    text = requests.get(done["result_repofile"], timeout=30).text
    assert "Trusted" not in text
    root = tmp_path / "machine"
    apt = ["apt-get", "-q", "-y", *machine(root, text)]
    for command in (["update"], ["--no-install-recommends", "install", "hello"]):
        ended = subprocess.run([*apt, *command], capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (root / "usr/share/hello/text").read_text() == "hello\n"
    assert (root / "usr/share/greet/text").is_file()
    # Another key does not do.
    other = keys.make(tmp_path / "other", "other@example.org")
    keys.end(other)
    head, _, _ = text.partition("Signed-By:")
    strange = machine(tmp_path / "strange", f"{head}Signed-By: {other.public}\n")
    ended = subprocess.run(["apt-get", "-q", *strange, "update"], capture_output=True, text=True)
    assert ended.returncode != 0 and "NO_PUBKEY" in ended.stderr


COMMANDS = {
    "create-tag": ("create-tag", "base", "ed", "--flag", "no_deps", "--sigkey", "none", "--arch", "x86_64"),
    "create-module": ("create-module", "editors:1"),
    "create-pulp": ("create-pulp", "contents"),
    "create-raw-config": ("create-raw-config", "image", "main", "--label", "RC-2.0"),
    "create-build": ("create-build", "libtext-2.0-1"),
    "create": ("create", "tag", "base", "other"),
}


@pytest.mark.soak
def test_every_command_of_the_command_line(programs: Path, served: Service, tmp_path: Path) -> None:
    address = served.url.replace("127.0.0.1", "localhost") + "/"

    def call(*words: str) -> Any:
        done = subprocess.run(
            [str(programs / "odcs"), "--server", address, *words],
            capture_output=True,
            text=True,
            timeout=180,
            env={**os.environ, "HOME": str(tmp_path)},
        )
        assert done.returncode == 0, (words, done.stdout + done.stderr)
        printed = "\n" + done.stdout
        return json.loads(printed[printed.rindex("\n{\n") :])

    # The client sleeps most of the time.
    with ThreadPoolExecutor(len(COMMANDS)) as pool:
        made = dict(zip(COMMANDS, pool.map(lambda words: call(*words), COMMANDS.values()), strict=True))
    for name, compose in made.items():
        assert compose["state_name"] == "done", (name, compose["state_reason"])
    assert listed(made["create-tag"], "x86_64") == ["ed-1.0-1.x86_64"]
    assert listed(made["create-module"], "x86_64") == ["ed-1.0-1.x86_64", "words-1.0-1.noarch"]
    described = requests.get(
        f"{made['create-module']['result_repo']}/x86_64/os/repodata/repomd.xml", timeout=30
    )
    assert 'type="modules"' in described.text
    assert listed(made["create-build"], "x86_64") == ["libtext-2.0-1.x86_64"]
    assert listed(made["create"], "x86_64") == ["other-1.0-1.x86_64"]
    pulp = requests.get(made["create-pulp"]["result_repofile"], timeout=30).text
    assert "baseurl=http://packages.test/contents\n" in pulp
    raw = served.data / "composes/test/latest-image-1-RC-2.0/compose/t/made"
    assert raw.is_dir()

    id = str(made["create"]["id"])
    for words in (("wait", id), ("renew", id, "--seconds-to-live", "7000"), ("get", id)):
        assert call(*words)["state_name"] == "done"
    assert call("about")["auth_backend"] == "noauth"
    call("delete", id)
    removed = until(lambda: call("get", id), lambda found: found["state_name"] == "removed")
    assert removed["removed_by"] == "anonymous"
    until((served.data / f"composes/odcs-{id}").exists, lambda there: not there)
