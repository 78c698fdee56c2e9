"""Composes of Debian packages: chosen by apt, built by the engine, signed by gpg, installed by apt."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.generate import Place, Result, generate, remove, resolve
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType
from tests.packages import archives
from tests.packages.archives import NATIVE, machine
from tests.packages.keys import Key

pytestmark = pytest.mark.root
TREE = "compose/Temporary"


@pytest.fixture
def request_(archive: Path) -> ComposeRequest:
    source = f"deb file://{archive} stable main contrib"
    return ComposeRequest(SourceType.repo, source, packages=("hello",), arches=(NATIVE,))


def make(
    request: ComposeRequest, target: Path, settings: ComposeSettings, number: int = 1, **more: Any
) -> Result:
    return generate(resolve(request, settings), Place(target, number), settings, **more)


def pool(result: Result) -> list[str]:
    root = result.directory / TREE
    return sorted(path.relative_to(root).as_posix() for path in root.glob("pool/**/*.deb"))


HELLO = [
    f"pool/main/h/hello/hello_1.0_{NATIVE}.deb",
]
NEEDED = ["pool/contrib/w/words/words_1.5_all.deb", "pool/main/g/greet/greet_1.0_all.deb"]


def test_a_package_with_what_it_needs(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    lines: list[str] = []
    result = make(request_, tmp_path / "target", settings, log=lines.append)
    assert pool(result) == [*NEEDED, *HELLO]
    assert result.packages == 3
    assert (result.directory / "COMPOSE_ID").read_text().strip() == result.pungi_compose_id
    assert (tmp_path / "target" / result.result_repofile).is_file()
    assert (tmp_path / "target" / result.result_repo / "dists/stable/InRelease").is_file()
    assert sorted(os.listdir(result.directory)) == [
        "COMPOSE_ID",
        "compose",
        "pungi-stderr.log",
        "pungi-stdout.log",
    ]
    document = json.loads((result.directory / "compose/metadata/debs.json").read_text())
    assert {package["name"]: package["version"] for package in document["packages"]} == {
        **{"greet": "1.0", "hello": "1.0", "words": "2:1.5"},
    }
    log = (result.directory / "pungi-stderr.log").read_text()
    assert all(line in log for line in lines)
    assert "is done: 3 packages" in lines[-1]


def test_apt_installs_from_it(request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path) -> None:
    result = make(request_, tmp_path / "target", settings)
    root = tmp_path / "machine"
    options = machine(root, (tmp_path / "target" / result.result_repofile).read_text())
    apt = ["apt-get", "-q", "-y", *options]
    for command in (["update"], ["--no-install-recommends", "install", "hello"]):
        done = subprocess.run([*apt, *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    for name in ("hello", "greet", "words"):
        assert (root / "usr/share" / name / "text").read_text() == f"{name}\n"


def test_the_signatures_are_of_the_key_and_it_goes_nowhere(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path, compose_key: Key
) -> None:
    result = make(request_, tmp_path / "target", settings)
    suite = result.directory / TREE / "dists/stable"
    keyring = tmp_path / "keyring.gpg"
    subprocess.run(["gpg", "--dearmor", "-o", str(keyring), str(compose_key.public)], check=True)
    for arguments in (["InRelease"], ["Release.gpg", "Release"]):
        done = subprocess.run(
            ["gpgv", "--keyring", str(keyring), *arguments], cwd=suite, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert compose_key.fingerprint in done.stderr.replace(" ", "")
    assert compose_key.fingerprint not in json.dumps(dict(result.locked))
    written = [path for path in settings.store.glob("objects/*/layer/dists/**/*") if path.is_file()]
    assert written
    for path in [*written, *settings.store.glob("sources/*/*")]:
        assert compose_key.user.encode() not in path.read_bytes()
        assert path.name not in ("InRelease", "Release.gpg")


def test_packages_are_links_to_the_store_and_composes_share_them(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    one, two = (make(request_, tmp_path / "target", settings, number) for number in (1, 2))
    for path in pool(one):
        assert (one.directory / TREE / path).samefile(two.directory / TREE / path)
        assert (one.directory / TREE / path).stat().st_nlink >= 3
    release = "dists/stable/Release"
    assert (one.directory / TREE / release).read_bytes() == (two.directory / TREE / release).read_bytes()


def test_what_was_locked_is_made_again(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    one = make(request_, tmp_path / "target", settings)
    locked = json.loads(json.dumps(one.locked))
    # The source is not even looked at.
    gone = replace(resolve(request_, settings), source="deb file:///nowhere stable main")
    two = generate(gone, Place(tmp_path / "target", 2), settings, locked=locked)
    assert pool(two) == pool(one)
    assert two.locked == one.locked


def test_no_deps_takes_what_is_named(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    alone = replace(request_, flags=frozenset({"no_deps"}))
    assert pool(make(alone, tmp_path / "target", settings)) == HELLO
    with pytest.raises(ComposeError) as caught:
        make(replace(alone, flags=frozenset({"no_deps", "check_deps"})), tmp_path / "target", settings, 2)
    assert caught.value.code == "compose.dependencies"
    # apt's own words.
    assert "hello : Depends: greet (>= 1) but it is not installable" in caught.value.detail


def test_checked_dependencies_are_those_of_the_compose(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    """What apt would choose from the archive does not matter, if something else in the compose will do."""
    root = tmp_path / "archive"
    archives.add(root, "client", {"Depends": "first | second"})
    archives.add(root, "first")
    archives.add(root, "second", {"Provides": "third", "Conflicts": "first"})
    archives.add(root, "other", {"Depends": "third"})
    archives.write(root)
    own = replace(settings, apt_keyrings={f"file://{root}": None})
    request = replace(
        request_,
        source=f"deb file://{root} stable main",
        packages=("client", "second", "other"),
        flags=frozenset({"no_deps", "check_deps"}),
    )
    assert len(pool(make(request, tmp_path / "target", own))) == 3
    with pytest.raises(ComposeError) as caught:
        make(replace(request, packages=("client", "other")), tmp_path / "target", own, 2)
    assert "client : Depends: first but it is not installable or" in caught.value.detail
    whole = replace(request, packages=(), flags=frozenset({"check_deps"}))
    assert len(pool(make(whole, tmp_path / "target", own, 3))) == 4


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """An archive with a newer hello, the words that there are elsewhere, too, and what lost needs."""
    root = tmp_path / "beside"
    archives.add(root, "hello", {"Version": "9", "Depends": "greet"})
    archives.add(root, "words", {"Architecture": "all", "Version": "2:1.5"})
    archives.add(root, "nothing-has-this", {"Depends": "deeper"})
    archives.add(root, "deeper")
    archives.write(root)
    return root


def test_what_is_beside_it_is_not_in_it(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path, beside: Path
) -> None:
    known = {**settings.apt_keyrings, f"file://{beside}": None}
    own = replace(settings, apt_keyrings=known)
    checked = replace(
        request_,
        packages=("hello", "lost"),
        lookaside_repos=(f"deb file://{beside} stable main",),
        flags=frozenset({"check_deps"}),
    )
    found = pool(make(checked, tmp_path / "target", own))
    assert found == [NEEDED[1], *HELLO, f"pool/main/l/lost/lost_1.0_{NATIVE}.deb"]
    asked = replace(checked, packages=("hello", "words"))
    assert pool(make(asked, tmp_path / "target", own, 2)) == [*NEEDED, *HELLO]
    with pytest.raises(ComposeError) as caught:
        make(replace(checked, lookaside_repos=("deb /nowhere stable main",)), tmp_path / "target", own, 3)
    assert caught.value.code == "compose.source"


def test_archives_have_another_revision_when_one_of_them_has(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path, beside: Path
) -> None:
    other = tmp_path / "other"
    archives.add(other, "one")
    archives.write(other)
    known = {f"file://{root}": None for root in (beside, other)}
    own = replace(settings, apt_keyrings=known)
    request = replace(
        request_, source=f"deb file://{beside} stable main deb file://{other} stable main", packages=("one",)
    )
    release = other / "dists/stable/Release"

    def dated(day: str) -> ComposeRequest:
        text = re.sub("^Date: .*$", f"Date: {day} 00:00:00 UTC", release.read_text(), flags=re.MULTILINE)
        release.write_text(text)
        return resolve(request, own)

    # Both are older than the other archive.
    one, two = dated("Wed, 01 Jan 2020"), dated("Thu, 02 Jan 2020")
    assert one.koji_event is not None and two.koji_event == one.koji_event + 86400
    with pytest.raises(ComposeError) as caught:
        generate(one, Place(tmp_path / "target", 1), own)
    assert caught.value.retryable
    assert generate(two, Place(tmp_path / "target", 1), own).packages == 1


def test_packages_by_wildcards(request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path) -> None:
    for number, arches in enumerate([(NATIVE,), (NATIVE, "s390x")], start=1):
        request = replace(request_, packages=("gre*",), arches=arches)
        assert pool(make(request, tmp_path / "target", settings, number)) == NEEDED
    with pytest.raises(ComposeError) as caught:
        make(replace(request_, packages=("hello", "x*")), tmp_path / "target", settings, 3)
    assert (caught.value.code, "'x*'" in caught.value.detail) == ("compose.packages", True)


def test_source_packages_go_along(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    root = tmp_path / "archive"
    archives.add(root, "libapp1", {"Source": "app (1.5-1)", "Version": "1.5-1+b2", "Depends": "words"})
    archives.add(root, "words", {"Architecture": "all"})
    archives.add(root, "other")
    for name, version in (("app", "1.5-1"), ("words", "1.0"), ("other", "1.0")):
        archives.add_source(root, name, version)
    archives.write(root)
    own = replace(settings, apt_keyrings={f"file://{root}": None})
    request = replace(
        request_,
        source=f"deb file://{root} stable main",
        packages=("libapp1",),
        arches=(NATIVE, "source"),
    )
    result = make(request, tmp_path / "target", own)
    tree = result.directory / TREE
    sources = sorted(path.name for path in tree.glob("pool/main/*/*/*") if path.suffix != ".deb")
    assert sources == [
        *("app_1.5-1.debian.tar.xz", "app_1.5-1.dsc", "app_1.5.orig.tar.gz"),
        *("words_1.0.dsc", "words_1.0.tar.xz"),
    ]
    assert len(pool(result)) == 2
    for path in tree.glob("pool/main/a/app/*"):
        assert path.stat().st_nlink >= 2, "a link to the store"
    document = json.loads((result.directory / "compose/metadata/debs.json").read_text())
    assert {(one["name"], one["version"]) for one in document["sources"]} == {
        ("app", "1.5-1"),
        ("words", "1.0"),
    }
    text = (tmp_path / "target" / result.result_repofile).read_text()
    assert "Types: deb deb-src\n" in text and f"Architectures: {NATIVE}\n" in text
    options = machine(tmp_path / "machine", text)
    for command in (["update"], ["source", "libapp1"]):
        done = subprocess.run(
            ["apt-get", "-q", *options, *command], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "app-1.5/debian/changelog").is_file()
    with pytest.raises(ComposeError) as caught:
        make(replace(request, arches=("source",)), tmp_path / "target", own, 2)
    assert caught.value.code == "compose.request"


def test_source_packages_that_the_archive_does_not_have(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    with pytest.raises(ComposeError) as caught:
        make(replace(request_, arches=(NATIVE, "source")), tmp_path / "target", settings)
    assert caught.value.code == "compose.packages"
    assert "the source packages cannot be had" in caught.value.detail


def test_without_packages_it_is_the_whole_archive(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    result = make(replace(request_, packages=()), tmp_path / "target", settings)
    assert len(pool(result)) == 5


def test_packages_may_exclude_each_other(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    result = make(replace(request_, packages=("hello", "ahoy")), tmp_path / "target", settings)
    assert len(pool(result)) == 4


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"packages": ("helo",)}, "compose.packages", "'helo'"),
        ({"packages": ("lost",)}, "compose.dependencies", "nothing-has-this"),
        ({"source": "deb file:///nowhere stable main"}, "compose.source", "index"),
        ({"source": "deb ftp://example.org stable main"}, "compose.source", "only http, https and file"),
        ({"source": "deb"}, "compose.source", "a suite is missing"),
        ({"multilib_arches": (NATIVE,)}, "compose.unsupported", "multilib"),
        ({"koji_event": 5}, "compose.source", "revision"),
    ],
)
def test_what_fails_leaves_only_its_logs(
    request_: ComposeRequest,
    settings: ComposeSettings,
    tmp_path: Path,
    change: dict[str, Any],
    code: str,
    says: str,
) -> None:
    request = replace(request_, **{"koji_event": None, **change})
    with pytest.raises(ComposeError) as caught:
        generate(request, Place(tmp_path / "target", 1), settings)
    assert caught.value.code == code
    assert says in caught.value.detail
    directory = tmp_path / "target/odcs-1"
    assert sorted(os.listdir(directory)) == ["pungi-stderr.log", "pungi-stdout.log"]
    assert caught.value.detail.split()[-1] in (directory / "pungi-stderr.log").read_text()


def test_an_archive_that_is_not_signed_by_its_key(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path, archive: Path, compose_key: Key
) -> None:
    wrong = replace(
        settings, apt_keyrings={f"file://{archive}": compose_key.public}, state_dir=tmp_path / "other"
    )
    with pytest.raises(ComposeError) as caught:
        make(request_, tmp_path / "target", wrong)
    assert caught.value.code == "compose.source"
    assert "not signed" in caught.value.detail


def test_a_cancelled_one_ends(request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path) -> None:
    asked = iter([False])
    with pytest.raises(ComposeError) as caught:
        make(request_, tmp_path / "target", settings, cancelled=lambda: next(asked, True))
    assert caught.value.code == "compose.cancelled"
    assert not (tmp_path / "target/odcs-1/compose").exists()


def test_only_one_process_makes_a_compose(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    from osbuild_core.exports.compose.place import claimed

    place = Place(tmp_path / "target", 1)
    with claimed(place), pytest.raises(ComposeError) as caught:
        generate(request_, place, settings)
    assert caught.value.retryable
    assert generate(request_, place, settings).packages == 3


def test_a_removed_one_leaves_nothing(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    place = Place(tmp_path / "target", 1)
    generate(request_, place, settings)
    (tmp_path / "target/latest-odcs-1-1").symlink_to("odcs-1")
    (tmp_path / "target/odcs-11").mkdir()
    remove(place)
    remove(place)
    assert os.listdir(tmp_path / "target") == ["odcs-11"]
