"""The other source types: tags, builds, content sets, templates in git, other composes, modules."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from osbuild_core.exports.compose.configuration import ComposeSettings, ContentSet, PackageTag, RawConfig
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.generate import Place, Result, generate, remove, resolve, tag_changed
from osbuild_core.exports.compose.place import is_latest
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType
from tests.packages.archives import NATIVE
from tests.packages.rpms import Rpm, build, repack, repository

from .test_rpm_composes import ED, packages

pytestmark = pytest.mark.root


def make(request: ComposeRequest, target: Path, settings: ComposeSettings, number: int = 1) -> Result:
    return generate(resolve(request, settings), Place(target, number), settings)


def failure(request: ComposeRequest, target: Path, settings: ComposeSettings) -> ComposeError:
    with pytest.raises(ComposeError) as caught:
        make(request, target, settings)
    return caught.value


@pytest.fixture
def tagged(settings: ComposeSettings, rpms: Path, lookaside: Path, archive: Path) -> ComposeSettings:
    return replace(
        settings,
        tags={
            "editors": PackageTag((str(rpms),), ("ed", "lib*", "words"), ("more",)),
            "more": PackageTag((str(lookaside),)),
            "debs": PackageTag((f"deb file://{archive} stable main contrib",), ("hello",)),
        },
        build_repos=(str(rpms),),
    )


def test_a_tag_is_a_named_set_of_packages(tagged: ComposeSettings, tmp_path: Path) -> None:
    request = ComposeRequest(SourceType.tag, "editors")
    found = packages(make(request, tmp_path / "target", tagged))
    assert found == sorted(
        [
            *ED,
            *("libbase-1.0-1.x86_64", "libtext-devel-2.0-1.x86_64", "libtext-tools-2.0-1.x86_64"),
            "elsewhere-1.0-1.x86_64",
        ]
    )
    alone = replace(request, flags=frozenset({"no_inheritance"}))
    assert "elsewhere-1.0-1.x86_64" not in packages(make(alone, tmp_path / "target", tagged, 2))
    assert failure(replace(request, source="nope"), tmp_path / "target", tagged).code == "compose.source"


def test_builds_on_top_of_a_tag(tagged: ComposeSettings, tmp_path: Path) -> None:
    request = ComposeRequest(SourceType.tag, "more", packages=("lost", "elsewhere"), builds=("lost-1.0-1",))
    found = packages(make(request, tmp_path / "target", tagged))
    assert found == ["elsewhere-1.0-1.x86_64", "lost-1.0-1.x86_64"]
    without = failure(replace(request, builds=()), tmp_path / "target", tagged)
    assert without.detail == "no repository has the package lost"


def test_builds_of_repositories_with_another_revision_than_the_tag(
    tagged: ComposeSettings, tmp_path: Path
) -> None:
    repo = repository(tmp_path / "repo", [Rpm("elsewhere")], revision=5)
    older = replace(tagged, tags={"more": PackageTag((str(repo),))})
    request = ComposeRequest(SourceType.tag, "more", builds=("lost-1.0-1",))
    assert resolve(request, older).koji_event == 5
    found = packages(make(request, tmp_path / "target", older))
    assert found == ["elsewhere-1.0-1.x86_64", "lost-1.0-1.x86_64"]


def test_sources_and_debugging_information_follow_a_narrow_tag(
    tagged: ComposeSettings, rpms: Path, tmp_path: Path
) -> None:
    tags = {"narrow": PackageTag((str(rpms),), ("libtext-devel", "ed"))}
    flags = frozenset({"no_deps"})
    result = make(
        ComposeRequest(SourceType.tag, "narrow", flags=flags), tmp_path / "target", replace(tagged, tags=tags)
    )
    assert packages(result) == ["ed-1.14-1.x86_64", "libtext-devel-2.0-1.x86_64"]
    assert packages(result, "source/tree") == ["ed-1.14-1.src", "libtext-2.0-1.src"]
    assert packages(result, "x86_64/debug/tree") == [
        *("ed-debuginfo-1.14-1.x86_64", "ed-debugsource-1.14-1.x86_64"),
    ]


def test_a_tag_of_debian_packages(tagged: ComposeSettings, tmp_path: Path) -> None:
    result = make(ComposeRequest(SourceType.tag, "debs", arches=(NATIVE,)), tmp_path / "target", tagged)
    assert result.packages == 3


def test_a_tag_of_debian_packages_has_no_others(
    tagged: ComposeSettings, archive: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    entry = f"deb file://{archive} stable main contrib"
    tags = {
        "few": PackageTag((entry,), ("gre*", "words")),
        "all": PackageTag((entry,)),
        "both": PackageTag((), (), ("few", "all")),
    }
    own = replace(tagged, tags=tags)
    request = ComposeRequest(SourceType.tag, "few", packages=("greet=1.0", "w*"), arches=(NATIVE,))
    assert make(request, target, own).packages == 2
    error = failure(replace(request, packages=("hello",)), target, own)
    assert (error.code, error.detail) == ("compose.packages", "the tag does not have the package 'hello'")
    assert make(replace(request, source="all", packages=("hello",)), target, own, 2).packages == 3
    for change in ({"source": "both"}, {"builds": ("hello-1.0-1",)}):
        assert failure(replace(request, **change), target, own).code == "compose.unsupported"


def test_a_tag_has_changed_when_its_repository_has(tmp_path: Path, settings: ComposeSettings) -> None:
    repo = repository(tmp_path / "repo", [Rpm("one")], revision=5)
    lost = PackageTag(("deb file:///nowhere stable main",))
    tagged = replace(settings, tags={"t": PackageTag((str(repo),)), "lost": lost})
    changed = tag_changed(tagged)
    assert resolve(ComposeRequest(SourceType.tag, "t"), tagged).koji_event == 5
    assert not changed("t", 5)
    assert changed("t", 4)
    assert changed("gone", 5)
    assert changed("lost", 5)


def test_builds_are_found_by_their_source_packages(tagged: ComposeSettings, tmp_path: Path) -> None:
    request = ComposeRequest(SourceType.build, builds=("ed-1.2-1", "libtext-2.0-1"))
    result = make(request, tmp_path / "target", tagged)
    assert packages(result) == [
        *(
            "ed-1.2-1.x86_64",
            "libtext-2.0-1.x86_64",
            "libtext-devel-2.0-1.x86_64",
            "libtext-tools-2.0-1.x86_64",
        ),
    ]
    assert packages(result, "source/tree") == ["ed-1.2-1.src", "libtext-2.0-1.src"]
    narrowed = replace(request, packages=("libtext-devel",))
    assert packages(make(narrowed, tmp_path / "target", tagged, 2)) == [
        *("libtext-2.0-1.x86_64", "libtext-devel-2.0-1.x86_64"),
    ]
    missing = failure(replace(request, builds=("ed-9-1",)), tmp_path / "target", tagged)
    assert missing.detail == "no repository has packages of the build ed-9-1"


def test_content_sets_are_a_repo_file(settings: ComposeSettings, tmp_path: Path) -> None:
    known = {
        "base": ContentSet("https://example.org/base/$basearch", ("x86_64", "s390x")),
        "beta": ContentSet("https://example.org/beta", published=False),
    }
    configured = replace(settings, content_sets=known)
    request = ComposeRequest(SourceType.pulp, "base")
    result = make(request, tmp_path / "target", configured)
    text = (tmp_path / "target" / result.result_repofile).read_text()
    assert "[base]\n" in text and "baseurl=https://example.org/base/$basearch\n" in text
    assert result.arches == ("s390x", "x86_64")
    assert "beta" in failure(replace(request, source="base beta"), tmp_path / "target", configured).detail
    for flag, sections in (("include_unpublished_pulp_repos", 2), ("ignore_absent_pulp_repos", 1)):
        other = replace(request, source="base beta", flags=frozenset({flag}))
        result = make(other, tmp_path / "target", configured, sections)
        assert (tmp_path / "target" / result.result_repofile).read_text().count("baseurl=") == sections


def test_content_sets_with_other_addresses_are_something_else(settings: ComposeSettings) -> None:
    def resolved(url: str) -> ComposeRequest:
        known = {"base": ContentSet(url, ("s390x",), ("key1",))}
        return resolve(ComposeRequest(SourceType.pulp, "base"), replace(settings, content_sets=known))

    one, same, other = (resolved(f"https://example.org/{name}") for name in ("a", "a", "b"))
    assert one == same
    assert one.koji_event != other.koji_event
    assert (one.arches, one.sigkeys) == (("s390x",), ("key1",))


def git(tree: Path, *arguments: str) -> str:
    command = ["git", "-C", str(tree), "-c", "user.name=T", "-c", "user.email=t@example.org", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """A git repository with a template; what it says changes from commit to commit."""
    tree = tmp_path / "git"
    tree.mkdir()
    git(tree, "init", "--quiet", "--initial-branch", "main")
    for word in ("one", "two"):
        (tree / "image.yaml").write_text(
            "variables: {name: x}\n"
            "pipelines:\n"
            "- name: parts\n  stages: [{type: org.osbuild.mkdir, options: {paths: [{path: /part}]}}]\n"
            "- name: tree\n  stages:\n"
            "  - {type: org.osbuild.mkdir, options: {paths: [{path: '/" + word + "-${name}'}]}}\n"
            "  - type: org.osbuild.copy\n"
            "    inputs: {t: {type: org.osbuild.tree, origin: org.osbuild.pipeline, references: ['name:parts']}}\n"
            "    options: {paths: [{from: 'input://t/part', to: 'tree:///part'}]}\n"
        )
        git(tree, "add", ".")
        git(tree, "commit", "--quiet", "-m", word)
    return tree


def test_a_template_of_a_git_repository_at_a_commit(
    settings: ComposeSettings, templates: Path, tmp_path: Path
) -> None:
    config = RawConfig(f"file://{templates}", "image.yaml", {"name": "y"})
    configured = replace(settings, raw_configs={"image": config})
    first, last = git(templates, "rev-list", "--reverse", "HEAD").split()
    request = ComposeRequest(SourceType.raw_config, "image#main")
    assert resolve(request, configured).source == f"image#{last}"
    result = make(request, tmp_path / "target", configured)
    assert sorted(os.listdir(result.directory / "compose/tree")) == ["part", "two-y"]
    assert not (result.directory / "compose/parts").exists()
    links = tmp_path / "target/test"
    assert sorted(os.listdir(links)) == ["latest-image-1", result.pungi_compose_id]
    assert is_latest(Place(tmp_path / "target", 1))
    assert (result.result_repo, result.result_repofile) == ("", "")
    result = make(replace(request, source=f"image#{first}"), tmp_path / "target", configured, 2)
    assert sorted(os.listdir(result.directory / "compose/tree")) == ["one-y", "part"]
    for name in ("latest-image-1", result.pungi_compose_id):
        assert sorted(os.listdir(links / name / "compose/tree")) == ["one-y", "part"]
    assert not is_latest(Place(tmp_path / "target", 1))
    remove(Place(tmp_path / "target", 2))
    (left,) = os.listdir(links)
    assert os.readlink(links / left) == "../odcs-1"
    with_label = replace(request, label="RC-1.0", compose_type="nightly")
    make(with_label, tmp_path / "target", configured, 3)
    assert (tmp_path / "target/nightly/latest-image-1-RC-1.0").is_dir()
    # Nor may the name of a type be that of another compose.
    make(replace(request, compose_type="odcs-1"), tmp_path / "target", configured, 4)
    assert not any(path.is_symlink() for path in (tmp_path / "target/odcs-1").iterdir())


@pytest.mark.parametrize(
    "source", ["image#--upload-pack=x", "image#gone", "image#../x", "other#main", "image#" + "0" * 40]
)
def test_a_commit_that_is_none(
    settings: ComposeSettings, templates: Path, tmp_path: Path, source: str
) -> None:
    configured = replace(settings, raw_configs={"image": RawConfig(f"file://{templates}", "image.yaml")})
    error = failure(ComposeRequest(SourceType.raw_config, source), tmp_path / "target", configured)
    assert error.code == "compose.source"


def test_a_template_reads_nothing_else(settings: ComposeSettings, templates: Path, tmp_path: Path) -> None:
    (templates / "image.yaml").write_text("$include: link.yaml\n")
    (tmp_path / "host.yaml").write_text("pipelines: []\n")
    (templates / "link.yaml").symlink_to(tmp_path / "host.yaml")
    git(templates, "add", ".")
    git(templates, "commit", "--quiet", "-m", "link")
    configured = replace(settings, raw_configs={"image": RawConfig(f"file://{templates}", "image.yaml")})
    error = failure(ComposeRequest(SourceType.raw_config, "image#main"), tmp_path / "target", configured)
    assert "outside of what the template may read" in error.detail


def test_the_packages_of_another_compose(settings: ComposeSettings, rpms: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    first = make(ComposeRequest(SourceType.repo, str(rpms), packages=("ed",)), target, settings)
    request = ComposeRequest(SourceType.pungi_compose, str(first.directory / "compose/Temporary"))
    second = make(request, target, settings, 2)
    for tree in ("x86_64/os", "x86_64/debug/tree", "source/tree"):
        assert packages(second, tree) == packages(first, tree)
    error = failure(replace(request, source=str(tmp_path / "nothing/Server/")), target, settings)
    assert "there is no such file" in error.detail


def test_all_arches_of_another_compose_with_multilib(
    settings: ComposeSettings, rpms: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    asked = ComposeRequest(
        SourceType.repo,
        str(rpms),
        packages=("libtext",),
        arches=("x86_64", "i686"),
        multilib_arches=("x86_64",),
        multilib_method=frozenset({"runtime"}),
    )
    first = make(replace(asked, packages=("libtext", "libtext-tools")), target, settings)
    request = ComposeRequest(SourceType.pungi_compose, str(first.directory / "compose/Temporary"), arches=())
    second = make(request, target, settings, 2)
    assert second.arches == ("i686", "x86_64")
    assert "libtext-2.0-1.i686" in packages(second)
    assert "libtext-tools-2.0-1.i686" not in packages(second)
    for tree in ("x86_64/os", "i686/os", "source/tree"):
        assert packages(second, tree) == packages(first, tree)
    one = replace(request, arches=("x86_64",))
    assert packages(make(one, target, settings, 3)) == packages(first)
    assert "no packages for s390x" in failure(replace(one, arches=("s390x",)), target, settings).detail


def test_the_latest_compose_is_another_one_when_there_is_a_later_one(
    settings: ComposeSettings, rpms: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    asked = ComposeRequest(SourceType.repo, str(rpms), packages=("words",))
    make(asked, target, settings)
    make(replace(asked, packages=("libbase",)), target, settings, 2)
    latest = target / "latest"
    latest.symlink_to("odcs-1")
    request = ComposeRequest(SourceType.pungi_compose, str(latest / "compose/Temporary"))
    before = resolve(request, settings)
    assert resolve(request, settings) == before
    latest.unlink()
    latest.symlink_to("odcs-2")
    after = resolve(request, settings)
    assert after.koji_event != before.koji_event
    with pytest.raises(ComposeError) as caught:
        generate(before, Place(target, 3), settings)
    assert caught.value.retryable
    assert packages(generate(after, Place(target, 3), settings)) == ["libbase-1.0-1.x86_64"]


def test_a_compose_that_lacks_what_it_lists(settings: ComposeSettings, rpms: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    first = make(ComposeRequest(SourceType.repo, str(rpms), packages=("words",)), target, settings)
    file = first.directory / "compose/metadata/rpms.json"
    document = json.loads(file.read_text())
    (words,) = document["payload"]["rpms"]["Temporary"]["x86_64"].values()
    words["gone-0:1-1.x86_64"] = words["words-0:1.0-1.noarch"]
    file.write_text(json.dumps(document))
    request = ComposeRequest(SourceType.pungi_compose, str(first.directory / "compose/Temporary"))
    error = failure(request, tmp_path / "other", settings)
    assert error.code == "compose.packages", error.detail
    assert "no repository has gone-0:1-1.x86_64" in error.detail


def module(name: str, version: int, rpms: list[str], **requires: list[str]) -> dict[str, Any]:
    data = {
        **{"name": name, "stream": "1", "version": version, "context": "c0", "arch": "x86_64"},
        "dependencies": [{"requires": {"platform": ["f32"], **requires}}],
        "artifacts": {"rpms": rpms},
    }
    return {"document": "modulemd", "version": 2, "data": data}


def defaults(name: str) -> dict[str, Any]:
    return {"document": "modulemd-defaults", "version": 1, "data": {"module": name, "stream": "1"}}


@pytest.fixture
def modular(settings: ComposeSettings, tmp_path: Path) -> ComposeSettings:
    repo = build(
        tmp_path / "modular", [Rpm("ed", version="3"), Rpm("ed", version="4"), Rpm("lib"), Rpm("other")]
    )
    subprocess.run(["createrepo_c", "--quiet", "--excludes", ".work/*", str(repo)], check=True)
    documents = [
        module("ed", 1, ["ed-0:3-1.x86_64"], lib=[]),
        module("ed", 2, ["ed-0:4-1.x86_64"], lib=[]),
        module("lib", 1, ["lib-0:1.0-1.x86_64"]),
        # Repositories need not have the sources and the debugging information of modules.
        module("broken", 1, ["gone-0:1-1.x86_64", "gone-debuginfo-0:1-1.x86_64", "gone-0:1-1.src"]),
        module("choosy", 1, [], lib=["9", "1"]),
        module("averse", 1, [], lib=["-9"]),
        *(defaults("ed"), defaults("other")),
    ]
    (tmp_path / "modules.yaml").write_text(yaml.safe_dump_all(documents))
    command = ["modifyrepo_c", "--mdtype=modules", str(tmp_path / "modules.yaml"), str(repo / "repodata")]
    subprocess.run(command, check=True, capture_output=True)
    return replace(settings, module_repos=(str(repo),))


def test_modules_with_what_they_need(modular: ComposeSettings, tmp_path: Path) -> None:
    request = ComposeRequest(SourceType.module, "ed:1")
    assert resolve(request, modular).source == "ed:1:2:c0 lib:1:1:c0"
    result = make(request, tmp_path / "target", modular)
    assert packages(result) == ["ed-4-1.x86_64", "lib-1.0-1.x86_64"]
    (described,) = (result.directory / "compose/Temporary/x86_64/os/repodata").glob("*modules.yaml.gz")
    found = list(yaml.safe_load_all(gzip.decompress(described.read_bytes())))
    assert [one["data"].get("name") for one in found] == ["ed", "lib", None]
    assert found[2] == defaults("ed")


def test_modules_may_be_packed_in_any_way(modular: ComposeSettings, tmp_path: Path) -> None:
    for kind in ("xz", "bz2", "zst", ""):
        repo = tmp_path / f"repo-{kind}"
        shutil.copytree(modular.module_repos[0], repo)
        repack(repo, kind)
        packed = replace(modular, module_repos=(str(repo),))
        assert resolve(ComposeRequest(SourceType.module, "ed:1"), packed).source == "ed:1:2:c0 lib:1:1:c0"


def test_a_module_of_an_older_version_alone(modular: ComposeSettings, tmp_path: Path) -> None:
    request = ComposeRequest(SourceType.module, "ed:1:1", flags=frozenset({"no_deps"}))
    assert packages(make(request, tmp_path / "target", modular)) == ["ed-3-1.x86_64"]
    missing = failure(replace(request, source="ed:2"), tmp_path / "target", modular)
    assert missing.code == "compose.packages"


def test_a_module_whose_packages_are_not_there(modular: ComposeSettings, tmp_path: Path) -> None:
    request = ComposeRequest(SourceType.module, "broken:1")
    error = failure(request, tmp_path / "target", modular)
    assert "no repository has gone-0:1-1.x86_64 of the modules" in error.detail


def test_a_module_takes_a_stream_that_there_is(modular: ComposeSettings) -> None:
    for name in ("choosy", "averse"):
        resolved = resolve(ComposeRequest(SourceType.module, f"{name}:1"), modular)
        assert resolved.source.endswith(" lib:1:1:c0")


@pytest.mark.parametrize(
    ("kind", "result", "says"),
    [
        (
            SourceType.repo,
            "boot.iso",
            "no stage makes the result boot.iso of a compose: it starts an installer",
        ),
        (SourceType.repo, "ostree", "no stage makes the result ostree of a compose: it is a commit"),
        (SourceType.pulp, "iso", "no result iso of content sets"),
        (SourceType.raw_config, "iso", "no result iso of a raw_config"),
    ],
)
def test_results_that_nothing_makes(
    settings: ComposeSettings, rpms: Path, tmp_path: Path, kind: SourceType, result: str, says: str
) -> None:
    request = ComposeRequest(kind, str(rpms), results=frozenset({"repository", "iso", result}))
    error = failure(request, tmp_path / "target", settings)
    assert (error.code, says in error.detail) == ("compose.unsupported", True)


@pytest.mark.parametrize(
    "change",
    [
        {"modular_koji_tags": ("m",)},
        {"scratch_modules": ("m:1",)},
        {"scratch_build_tasks": ("1",)},
        {"module_defaults_url": "https://example.org/d", "module_defaults_commit": "main"},
        {"base_module_br_name": "platform"},
        {"base_module_br_stream_version_lte": 0},
        {"modules": ("ed:1",)},
    ],
)
def test_what_nothing_here_knows_is_not_passed_over(
    settings: ComposeSettings, rpms: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    error = failure(replace(ComposeRequest(SourceType.repo, str(rpms)), **change), tmp_path / "t", settings)
    assert error.code == "compose.unsupported"
    assert next(iter(change)) in error.detail


def test_a_locked_compose_is_json(settings: ComposeSettings, rpms: Path, tmp_path: Path) -> None:
    result = make(
        ComposeRequest(SourceType.repo, str(rpms), packages=("words",)), tmp_path / "target", settings
    )
    assert json.loads(json.dumps(result.locked))["manifest"]["version"] == "2"
