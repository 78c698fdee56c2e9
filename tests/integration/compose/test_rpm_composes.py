"""Composes of RPM packages: chosen by libsolv, indexed by createrepo_c in the engine, read back by its library."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import productmd.composeinfo
import productmd.rpms
import pytest

from osbuild_core.exports.compose import rpm
from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.generate import Place, Result, generate, resolve
from osbuild_core.exports.compose.lock import Lock
from osbuild_core.exports.compose.place import is_complete
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType
from tests.packages.rpms import Rpm, index, repack, replaced, repository

pytestmark = pytest.mark.root
TREE = "compose/Temporary"
ED = ["ed-1.14-1.x86_64", "libtext-2.0-1.x86_64", "words-1.0-1.noarch"]


@pytest.fixture
def request_(rpms: Path) -> ComposeRequest:
    return ComposeRequest(SourceType.repo, str(rpms), packages=("ed",), koji_event=17)


def make(
    request: ComposeRequest, target: Path, settings: ComposeSettings, number: int = 1, **more: Any
) -> Result:
    return generate(resolve(request, settings), Place(target, number), settings, **more)


def listed(tree: Path) -> list[str]:
    """Return the packages that the metadata of ``tree`` list, each of which has to be there."""
    import createrepo_c

    found = []
    for package in createrepo_c.RepositoryReader.from_path(str(tree)).iter_packages():
        assert (tree / package.location_href).is_file()
        found.append(package.nvra())
    there = sorted(path.name.removesuffix(".rpm") for path in tree.rglob("*.rpm"))
    assert sorted(found) == there
    return there


def locked(request: ComposeRequest, settings: ComposeSettings) -> Lock:
    return rpm.lock(request, rpm.RpmSource(request.sources()), settings, lambda _: None)


def packages(result: Result, tree: str = "x86_64/os") -> list[str]:
    return listed(result.directory / TREE / tree)


def test_a_package_with_what_it_needs(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    result = make(request_, tmp_path / "target", settings)
    assert packages(result) == ED
    assert packages(result, "x86_64/debug/tree") == [
        "ed-debuginfo-1.14-1.x86_64",
        "ed-debugsource-1.14-1.x86_64",
    ]
    assert packages(result, "source/tree") == ["ed-1.14-1.src", "libtext-2.0-1.src", "words-1.0-1.src"]
    assert (result.directory / TREE / "x86_64/os/Packages/e/ed-1.14-1.x86_64.rpm").is_file()
    assert result.packages == 8
    assert result.arches == ("x86_64",)


def test_the_repo_file(request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path) -> None:
    place = Place(tmp_path / "target", 7, "https://composes.example.org/c")
    result = generate(request_, place, settings)
    text = (tmp_path / "target" / result.result_repofile).read_text()
    base = "https://composes.example.org/c/odcs-7/compose/Temporary"
    assert [line for line in text.splitlines() if line.startswith(("[", "baseurl", "enabled="))] == [
        *("[odcs-7]", f"baseurl={base}/$basearch/os", "enabled=1"),
        *("[odcs-7-debuginfo]", f"baseurl={base}/$basearch/debug/tree", "enabled=0"),
        *("[odcs-7-source]", f"baseurl={base}/source/tree", "enabled=0"),
    ]


def test_the_metadata_of_the_compose(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    result = make(replace(request_, label="RC-1.0"), tmp_path / "target", settings)
    metadata = result.directory / "compose/metadata"
    info = productmd.composeinfo.ComposeInfo()
    info.load(str(metadata / "composeinfo.json"))
    assert (info.compose.id, info.compose.label) == (result.pungi_compose_id, "RC-1.0")
    assert (result.directory / "COMPOSE_ID").read_text() == f"{result.pungi_compose_id}\n"
    (variant,) = info.get_variants()
    assert variant.paths.repository == {"x86_64": "Temporary/x86_64/os"}
    rpms = productmd.rpms.Rpms()
    rpms.load(str(metadata / "rpms.json"))
    ed = rpms.rpms["Temporary"]["x86_64"]["ed-0:1.14-1.src"]
    assert sorted(ed) == [
        *("ed-0:1.14-1.src", "ed-0:1.14-1.x86_64"),
        *("ed-debuginfo-0:1.14-1.x86_64", "ed-debugsource-0:1.14-1.x86_64"),
    ]
    for entry in ed.values():
        assert (result.directory / "compose" / entry["path"]).is_file()


def test_metadata_are_signed_on_the_host(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    result = make(request_, tmp_path / "target", settings)
    repodata = result.directory / TREE / "x86_64/os/repodata"
    keyring = tmp_path / "keyring.gpg"
    subprocess.run(["gpg", "--dearmor", "-o", str(keyring), str(repodata / "repomd.xml.key")], check=True)
    command = ["gpgv", "--keyring", str(keyring), "repomd.xml.asc", "repomd.xml"]
    assert subprocess.run(command, cwd=repodata, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("methods", "added"),
    [
        ((), []),
        (("devel",), ["libbase-1.0-1.i686", "libtext-devel-2.0-1.i686"]),
        (("runtime",), ["libbase-1.0-1.i686", "libtext-2.0-1.i686"]),
        (
            ("runtime", "devel"),
            ["libbase-1.0-1.i686", "libtext-2.0-1.i686", "libtext-devel-2.0-1.i686"],
        ),
        (
            ("all",),
            [
                "libbase-1.0-1.i686",
                "libtext-2.0-1.i686",
                "libtext-devel-2.0-1.i686",
                "libtext-tools-2.0-1.i686",
            ],
        ),
    ],
)
def test_multilib(
    request_: ComposeRequest,
    settings: ComposeSettings,
    tmp_path: Path,
    methods: tuple[str, ...],
    added: list[str],
) -> None:
    request = replace(
        request_,
        packages=("libtext-devel", "libtext-tools"),
        multilib_arches=("x86_64",),
        multilib_method=frozenset(methods),
    )
    native = ["libtext-2.0-1.x86_64", "libtext-devel-2.0-1.x86_64", "libtext-tools-2.0-1.x86_64"]
    assert packages(make(request, tmp_path / "target", settings)) == sorted(native + added)


def test_multilib_of_a_version_that_is_not_the_newest(settings: ComposeSettings, tmp_path: Path) -> None:
    both = [Rpm("libx", version=version, arch=arch) for version in ("1", "2") for arch in ("x86_64", "i686")]
    repo = repository(tmp_path / "repo", both)
    request = ComposeRequest(
        SourceType.repo,
        str(repo),
        packages=("libx-1-1",),
        multilib_arches=("x86_64",),
        multilib_method=frozenset({"all"}),
    )
    assert packages(make(request, tmp_path / "target", settings)) == ["libx-1-1.i686", "libx-1-1.x86_64"]


def test_several_architectures(request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path) -> None:
    request = replace(request_, packages=("ed", "libtext", "words"), arches=("x86_64", "i686"))
    result = make(request, tmp_path / "target", settings)
    assert packages(result) == ED
    assert packages(result, "i686/os") == ["libbase-1.0-1.i686", "libtext-2.0-1.i686", "words-1.0-1.noarch"]
    assert packages(result, "source/tree") == [
        *("ed-1.14-1.src", "libbase-1.0-1.src", "libtext-2.0-1.src", "words-1.0-1.src"),
    ]
    metadata = productmd.rpms.Rpms()
    metadata.load(str(result.directory / "compose/metadata/rpms.json"))
    of_ed, of_libbase = "ed-0:1.14-1.src", "libbase-0:1.0-1.src"
    by_arch = {arch: set(found) for arch, found in metadata.rpms["Temporary"].items()}
    assert of_ed in by_arch["x86_64"] and of_ed not in by_arch["i686"]
    assert of_libbase in by_arch["i686"] and of_libbase not in by_arch["x86_64"]


def test_architectures_that_dnf_has_another_name_for(
    rpms: Path, settings: ComposeSettings, tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "i386").symlink_to(rpms)
    for number, arch in enumerate(("i686", "i386"), start=1):
        request = ComposeRequest(
            SourceType.repo, f"{mirror}/$basearch", packages=("libtext",), arches=(arch,)
        )
        result = make(request, tmp_path / "target", settings, number)
        for tree in (f"{arch}/os", "i386/os"):
            assert packages(result, tree) == ["libbase-1.0-1.i686", "libtext-2.0-1.i686"]


def test_no_deps_takes_what_is_named(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    request = replace(request_, flags=frozenset({"no_deps"}), packages=("ed", "libtext*"))
    expected = [
        "ed-1.14-1.x86_64",
        "libtext-2.0-1.x86_64",
        "libtext-devel-2.0-1.x86_64",
        "libtext-tools-2.0-1.x86_64",
    ]
    assert packages(make(request, tmp_path / "target", settings)) == expected


def test_without_packages_it_is_the_newest_of_all(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    found = packages(make(replace(request_, packages=()), tmp_path / "target", settings))
    assert len(found) == 9
    assert "ed-1.14-1.x86_64" in found
    assert "ed-1.2-1.x86_64" not in found


def test_an_older_version_by_name(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    found = packages(make(replace(request_, packages=("ed-1.2-1",)), tmp_path / "target", settings))
    assert found == ["ed-1.2-1.x86_64"]


def test_broken_packages_are_refused_only_if_that_is_checked(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    lines: list[str] = []
    request = replace(request_, packages=("ed", "lost"))
    result = make(request, tmp_path / "target", settings, log=lines.append)
    assert packages(result) == sorted([*ED, "lost-1.0-1.x86_64"])
    assert any("nothing provides nothing-has-this >= 3 needed by lost" in line for line in lines)
    with pytest.raises(ComposeError) as caught:
        make(replace(request, flags=frozenset({"check_deps"})), tmp_path / "target", settings, 2)
    assert caught.value.code == "compose.dependencies"
    assert "nothing provides nothing-has-this >= 3 needed by lost-1.0-1.x86_64" in caught.value.detail


def test_checked_dependencies_may_be_beside_it(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path, lookaside: Path
) -> None:
    request = replace(request_, packages=("outside",), flags=frozenset({"check_deps"}))
    with pytest.raises(ComposeError):
        make(request, tmp_path / "target", settings, 1)
    result = make(replace(request, lookaside_repos=(str(lookaside),)), tmp_path / "target", settings, 2)
    assert packages(result) == ["outside-1.0-1.x86_64"]


def test_what_is_beside_it_is_not_in_it(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path, lookaside: Path
) -> None:
    request = replace(request_, packages=(), lookaside_repos=(str(lookaside),))
    assert "libbase-1.0-1.x86_64" not in packages(make(request, tmp_path / "target", settings))
    asked = replace(request, packages=("libbase",))
    assert packages(make(asked, tmp_path / "target", settings, 2)) == ["libbase-1.0-1.x86_64"]


def test_composes_share_packages_and_metadata(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    one, two = (make(request_, tmp_path / "target", settings, number) for number in (1, 2))
    for path in (one.directory / TREE).rglob("*.rpm"):
        assert path.samefile(two.directory / TREE / path.relative_to(one.directory / TREE))
    repomd = "x86_64/os/repodata/repomd.xml"
    assert (one.directory / TREE / repomd).read_bytes() == (two.directory / TREE / repomd).read_bytes()


def test_one_that_is_made_once_more_is_not_complete_meanwhile(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    place = Place(tmp_path / "target", 1)
    generate(request_, place, settings)
    assert is_complete(place)
    seen: list[bool] = []
    generate(
        request_, place, settings, log=lambda line: seen.append("is done" not in line and is_complete(place))
    )
    assert seen and not any(seen)
    assert is_complete(place)


def test_what_was_locked_is_made_again(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path
) -> None:
    one = make(request_, tmp_path / "target", settings)
    document = json.loads(json.dumps(one.locked))
    two = generate(
        replace(request_, source="/nowhere"), Place(tmp_path / "target", 2), settings, locked=document
    )
    assert packages(two) == packages(one)


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2", "zst", ""])
def test_metadata_may_be_packed_in_any_way(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path, rpms: Path, kind: str
) -> None:
    repo = tmp_path / "repo"
    shutil.copytree(rpms, repo)
    repack(repo, kind)
    # So that the lists of files are read, too.
    request = replace(
        request_,
        source=str(repo),
        packages=("libtext-devel", "libtext-tools"),
        multilib_arches=("x86_64",),
        multilib_method=frozenset({"runtime"}),
    )
    found = [package.path for package in locked(request, settings).trees[0].packages]
    assert "Packages/l/libtext-2.0-1.i686.rpm" in found
    assert "Packages/l/libtext-tools-2.0-1.i686.rpm" not in found


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2", "zst"])
def test_metadata_that_end_in_the_middle(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path, rpms: Path, kind: str
) -> None:
    repo = tmp_path / "repo"
    shutil.copytree(rpms, repo)
    repack(repo, kind, cut=40)
    with pytest.raises(ComposeError) as caught:
        locked(replace(request_, source=str(repo)), settings)
    assert caught.value.code == "compose.source"


def carried(document: Mapping[str, Any]) -> list[str]:
    """Return the pipelines of what was locked that carry metadata over."""
    pipelines = document["manifest"]["pipelines"]
    return [one["name"] for one in pipelines for stage in one["stages"] if "carried" in stage["options"]]


def test_metadata_are_those_of_the_repository(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path, rpms: Path
) -> None:
    repo = tmp_path / "repo"
    shutil.copytree(rpms, repo)
    (primary,) = repo.glob("repodata/*primary.xml.gz")
    text = gzip.decompress(primary.read_bytes()).decode()
    assert "<summary>test words</summary>" in text
    changed = text.replace("<summary>test words</summary>", "<summary>said elsewhere</summary>")
    replaced(repo, primary, gzip.compress(changed.encode()))
    request = replace(request_, source=str(repo))
    lines: list[str] = []
    one = make(request, tmp_path / "target", settings, log=lines.append)
    assert packages(one) == ED
    assert carried(one.locked) == ["x86_64-os", "x86_64-debug", "source"]
    assert summary(one, "words") == "said elsewhere"

    # Those who believe signatures only get what the packages say: here of none, and of all.
    unsigned = make(replace(request, sigkeys=("",)), tmp_path / "target", settings, 2)
    assert summary(unsigned, "words") == "said elsewhere"
    signed = replace(request, sigkeys=("", "0123456789abcdef"))
    assert carried(locked(signed, settings).to_json()) == []

    # When the repository has others, and nothing is in the store, they are made of the packages.
    for path in (repo / "repodata").iterdir():
        path.unlink()
    anew = replace(settings, store=tmp_path / "store")
    again = generate(request, Place(tmp_path / "target", 3), anew, locked=one.locked, log=lines.append)
    assert packages(again) == ED
    assert summary(again, "words") == "test words"
    assert any("ours are made of the packages" in line for line in lines)


def summary(result: Result, name: str) -> str:
    import createrepo_c

    tree = str(result.directory / TREE / "x86_64/os")
    (found,) = (
        one for one in createrepo_c.RepositoryReader.from_path(tree).iter_packages() if one.name == name
    )
    return str(found.summary)


def test_metadata_of_large_repositories_are_not_searched_for_little(
    request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path, rpms: Path
) -> None:
    repo = tmp_path / "repo"
    shutil.copytree(rpms, repo)
    request = replace(request_, source=str(repo))
    repomd = repo / "repodata/repomd.xml"
    repomd.write_text(re.sub("<open-size>[0-9]+<", "<open-size>900000000<", repomd.read_text()))
    assert carried(locked(request, settings).to_json()) == []
    repomd.write_text(re.sub("<open-size>[0-9]+</open-size>", "", repomd.read_text()))
    assert carried(locked(request, settings).to_json()) == []


def test_the_revision_is_that_of_the_repository(request_: ComposeRequest, settings: ComposeSettings) -> None:
    assert resolve(replace(request_, koji_event=None), settings).koji_event == 17
    assert resolve(replace(request_, koji_event=5), settings).koji_event == 5


def test_several_repositories_have_another_revision_when_one_of_them_has(
    settings: ComposeSettings, tmp_path: Path
) -> None:
    new = repository(tmp_path / "new", [Rpm("one")], revision=90)
    old = repository(tmp_path / "old", [Rpm("two")], revision=17)
    request = ComposeRequest(SourceType.repo, f"{new} {old}")
    before = resolve(request, settings)
    index(old, 18)
    after = resolve(request, settings)
    assert after.koji_event is not None and before.koji_event is not None
    assert after.koji_event > before.koji_event
    with pytest.raises(ComposeError) as caught:
        generate(before, Place(tmp_path / "target", 1), settings)
    assert caught.value.retryable
    assert packages(generate(after, Place(tmp_path / "target", 1), settings)) == [
        *("one-1.0-1.x86_64", "two-1.0-1.x86_64"),
    ]


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"packages": ("ed", "edd")}, "compose.packages", "no repository has the package edd"),
        ({"source": "/nowhere"}, "compose.source", "there is no such file"),
        ({"source": "ftp://example.org/"}, "compose.source", "only http, https and file"),
        ({"koji_event": 5}, "compose.source", "revision 17"),
        ({"sigkeys": ("123",)}, "compose.unsigned", "ed-0:1.14-1.x86_64"),
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
    with pytest.raises(ComposeError) as caught:
        generate(replace(request_, **change), Place(tmp_path / "target", 1), settings)
    assert caught.value.code == code
    assert says in caught.value.detail
    assert sorted(os.listdir(tmp_path / "target/odcs-1")) == ["pungi-stderr.log", "pungi-stdout.log"]


def test_dnf_installs_from_it(request_: ComposeRequest, settings: ComposeSettings, tmp_path: Path) -> None:
    target = tmp_path / "target"
    result = make(replace(request_, packages=("ed", "libtext-devel")), target, settings)
    repos = tmp_path / "repos"
    repos.mkdir()
    (repos / "compose.repo").write_text((target / result.result_repofile).read_text())
    root = tmp_path / "root"
    dnf = ["dnf", "--assumeyes", f"--installroot={root}", "--releasever=1", "--forcearch=x86_64"]
    options = {
        "reposdir": repos,
        "cachedir": tmp_path / "cache",
        "logdir": tmp_path,
        "varsdir": tmp_path,
        "plugins": 0,
    }
    dnf += [f"--setopt={name}={value}" for name, value in options.items()]
    done = subprocess.run(
        [*dnf, "--enablerepo=*", "install", "ed", "ed-debuginfo"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for path in ("usr/bin/ed", "usr/lib64/libtext.so.2", "usr/share/text/words", "usr/lib/debug/ed.debug"):
        assert (root / path).is_file()
    assert not (root / "usr/include/text.h").exists()


def test_the_index_is_kept_and_changes_nothing(settings: ComposeSettings, tmp_path: Path) -> None:
    # Any of the others has it: what is chosen may not depend on whether the index was there.
    names = ["delta", "alpha", "charlie", "bravo"]
    wanted = [Rpm("app", requires=("thing",)), *(Rpm(name, provides=("thing",)) for name in names)]
    repo = repository(tmp_path / "repo", wanted, revision=1)
    request = ComposeRequest(SourceType.repo, str(repo), packages=("app",), koji_event=1)
    settings = replace(settings, state_dir=tmp_path / "indexes")
    (first,) = locked(request, settings).trees[:1]
    (kept,) = (tmp_path / "indexes").rglob("*.solv")
    whole, before = kept.read_bytes(), kept.stat().st_ino
    (again,) = locked(request, settings).trees[:1]
    assert again == first
    assert kept.stat().st_ino == before
    for damaged in (b"", whole[:10], whole[:-1], whole[:32], whole.replace(b"alpha", b"alphA")):
        assert damaged != whole
        kept.write_bytes(damaged)
        (again,) = locked(request, settings).trees[:1]
        assert again == first
        assert kept.read_bytes() == whole
    # The library refuses what was whole when it was written, such as by a newer one.
    kept.write_bytes(hashlib.sha256(b"SOLV....").digest() + b"SOLV....")
    (again,) = locked(request, settings).trees[:1]
    assert again == first
