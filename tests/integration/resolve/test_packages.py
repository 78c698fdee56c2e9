"""Package sets, resolved by the real apt against a small archive."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from localarchive import Archive, Machine, names_of

from osbuild_core.model.errors import ResolveError
from osbuild_core.resolve import ResolveSettings, dumps
from osbuild_core.resolve.apt import open_apt, run


def code_of(machine: Machine, packages: str, **settings: object) -> ResolveError:
    with pytest.raises(ResolveError) as caught:
        machine.resolve(packages, **settings)
    assert "\n" not in caught.value.detail
    return caught.value


def test_dependencies_come_before_what_needs_them(machine: Machine) -> None:
    assert machine.names("{suite: test, base: none, include: [shell]}") == ["libshell", "shell"]


def test_items_have_checksum_and_address(machine: Machine, archive: Archive) -> None:
    checksum = archive.add("server", "1.0")
    manifest = machine.resolve("{suite: test, base: none, include: [libserver]}")
    refs = manifest["pipelines"][0]["stages"][0]["refs"]
    items = manifest["sources"]["org.osbuild.curl"]["items"]
    assert items == {refs[0]: {"url": f"{archive.url}/pool/libserver_1.0_all.deb"}}
    assert refs[0].startswith("sha256:") and refs[0] != checksum


@pytest.mark.parametrize(
    ("base", "names"),
    [
        ("none", []),
        ("essential", ["base-files", "libshell", "shell"]),
        ("minbase", ["apt", "base-files", "libshell", "mounter", "shell"]),
    ],
)
def test_base(machine: Machine, base: str, names: list[str]) -> None:
    found = machine.names(f"{{suite: test, base: {base}}}")
    assert sorted(found) == names


def test_recommends_only_where_asked_for(machine: Machine) -> None:
    spec = "{suite: test, base: none, include: [server], recommends: %s}"
    assert sorted(machine.names(spec % "false")) == ["libserver", "server"]
    assert sorted(machine.names(spec % "true")) == ["docs", "libserver", "server"]


def test_excluded_dependency_gives_way_to_its_alternative(machine: Machine) -> None:
    found = machine.names("{suite: test, base: none, include: [server], exclude: [libserver, unheard-of]}")
    assert sorted(found) == ["libother", "server"]


def test_excluded_essential_package(machine: Machine) -> None:
    assert machine.names("{suite: test, exclude: [shell]}") == ["base-files"]


def test_version_and_suite_can_be_asked_for(machine: Machine, archive: Archive) -> None:
    archive.add("libserver", "2.0")
    archive.write()
    urls = [
        machine.resolve(f"{{suite: test, base: none, include: ['libserver{wanted}']}}")["sources"]
        for wanted in ("", "=1.0", "/test")
    ]
    versions = [next(iter(u["org.osbuild.curl"]["items"].values()))["url"].rsplit("_")[-2] for u in urls]
    assert versions == ["2.0", "1.0", "2.0"]


def test_same_index_same_bytes(machine: Machine, tmp_path: Path) -> None:
    spec = "{suite: test, include: [server]}"
    first = dumps(machine.resolve(spec))
    machine.state = tmp_path / "another-state"
    assert dumps(machine.resolve(spec)) == first


def test_installed_leaves_what_is_missing(machine: Machine, tmp_path: Path) -> None:
    template = tmp_path / "layers.yaml"
    template.write_text(
        "pipelines:\n"
        "- {name: top, stages: [{refs: {$packages: {suite: test, installed: middle, include: [docs]}}}]}\n"
        "- {name: mid, stages: [{refs: {$packages: {suite: test, name: middle, installed: low,"
        " include: [server]}}}]}\n"
        "- {name: low, stages: [{refs: {$packages: {suite: test, name: low, include: [libserver]}}}]}\n"
    )
    manifest = machine.resolve_file(template)
    assert names_of(manifest, 0) == ["docs"]
    assert names_of(manifest, 1) == ["server"]
    assert sorted(names_of(manifest, 2)) == ["base-files", "libserver", "libshell", "shell"]


def test_installed_conflict_is_not_solved_by_removal(machine: Machine, tmp_path: Path) -> None:
    template = tmp_path / "conflict.yaml"
    template.write_text(
        "pipelines:\n"
        "- {name: a, stages: [{refs: {$packages: {suite: test, name: a, include: [libserver]}}}]}\n"
        "- {name: b, stages: [{refs: {$packages: {suite: test, installed: a, include: [hostile]}}}]}\n"
    )
    with pytest.raises(ResolveError) as caught:
        machine.resolve_file(template)
    assert caught.value.code == "resolve.unsolvable"
    assert "libserver" in caught.value.detail


def test_installed_unknown_and_in_a_circle(machine: Machine, tmp_path: Path) -> None:
    assert "os" in code_of(machine, "{suite: test, installed: os}").detail
    template = tmp_path / "circle.yaml"
    template.write_text(
        "pipelines:\n"
        "- {name: a, stages: [{refs: {$packages: {suite: test, name: a, installed: b}}}]}\n"
        "- {name: b, stages: [{refs: {$packages: {suite: test, name: b, installed: a}}}]}\n"
    )
    with pytest.raises(ResolveError, match="on top of each other"):
        machine.resolve_file(template)


def test_unsolvable_set_is_explained_by_apt(machine: Machine) -> None:
    error = code_of(machine, "{suite: test, name: os, include: [broken]}")
    assert error.code == "resolve.unsolvable"
    assert "left-over" in error.detail and "shell (>= 99)" in error.detail and "'os'" in error.detail
    assert error.place == ("pipelines", 0, "stages", 0, "refs", "$packages")


def test_unknown_package_has_a_suggestion(machine: Machine) -> None:
    error = code_of(machine, "{suite: test, base: none, include: [libservr]}")
    assert error.code == "resolve.package"
    assert error.hint is not None and "libserver" in error.hint


def test_name_is_never_a_pattern(machine: Machine) -> None:
    """apt takes a name that it does not know for a regular expression when it looks like one."""
    assert code_of(machine, "{suite: test, base: none, include: [lib.erver]}").code == "resolve.package"


@pytest.mark.parametrize("name", ["-o", "libserver-", "lib*", "?essential", "task^", "a b", "Upper"])
def test_name_is_never_an_option_of_apt(machine: Machine, name: str) -> None:
    assert code_of(machine, f"{{suite: test, include: ['{name}']}}").code == "resolve.template"


def test_suite_without_an_entry(machine: Machine, archive: Archive) -> None:
    error = code_of(machine, "{suite: other}")
    assert error.code == "resolve.no-entry"
    assert str(machine.etc / "sources.list") in error.detail
    assert error.hint is not None and f"deb {archive.url} other main" in error.hint


def test_component_without_an_entry(machine: Machine) -> None:
    error = code_of(machine, "{suite: test, components: [main, contrib]}")
    assert (error.code, error.hint) == ("resolve.component", "there are: main")


def test_entry_of_another_suite_has_no_influence(machine: Machine, tmp_path: Path) -> None:
    other = Archive(tmp_path / "other")
    other.add("server", "9.0", suite="newer")
    other.write()
    machine.entry(f"deb [trusted=yes] {other.url} newer main\n", "sources.list.d/newer.list")
    manifest = machine.resolve("{suite: test, base: none, include: [server]}")
    assert "9.0" not in dumps(manifest)


def test_security_updates_count_unless_declined(machine: Machine, archive: Archive) -> None:
    archive.add("libserver", "1.1", suite="test-security")
    archive.write()
    machine.entry(
        f"Types: deb\nURIs: {archive.url}\nSuites: test test-security\nComponents: main\nTrusted: yes\n",
        "sources.list.d/archive.sources",
    )
    machine.entry("")
    spec = "{suite: test, base: none, include: [libserver], updates: %s}"
    assert "libserver_1.1" in dumps(machine.resolve(spec % "true"))
    assert "libserver_1.0" in dumps(machine.resolve(spec % "false"))


def test_repository_of_the_template_with_its_key(machine: Machine, tmp_path: Path) -> None:
    other = Archive(tmp_path / "other")
    other.add("extra", suite="stable")
    other.write()
    (tmp_path / "other.asc").write_text(other.sign(tmp_path / "gpg"))
    spec = "{suite: test, base: none, include: [extra], repositories: [{url: '%s', suite: stable%s}]}"
    assert machine.names(spec % (other.url, ", key: other.asc")) == ["extra"]
    assert machine.names(spec % (other.url, ", trusted: true")) == ["extra"]
    assert code_of(machine, spec % (other.url, "")).code == "resolve.signature"


def test_key_of_another_is_refused(machine: Machine, tmp_path: Path) -> None:
    other, third = Archive(tmp_path / "other"), Archive(tmp_path / "third")
    for each in (other, third):
        each.add("extra", suite="stable")
        each.write()
    other.sign(tmp_path / "gpg-a")
    (tmp_path / "wrong.asc").write_text(third.sign(tmp_path / "gpg-b"))
    spec = f"{{suite: test, include: [extra], repositories: [{{url: '{other.url}', suite: stable, key: wrong.asc}}]}}"
    assert code_of(machine, spec).code == "resolve.signature"


def test_signed_by_of_the_machine_inline_and_as_a_file(
    machine: Machine, archive: Archive, tmp_path: Path
) -> None:
    key = archive.sign(tmp_path / "gpg")
    inline = "\n".join(" " + (line or ".") for line in key.splitlines())
    (tmp_path / "key.asc").write_text(key)
    machine.entry("")
    for signed_by in (f"\n{inline}", f" {tmp_path / 'key.asc'}"):
        machine.entry(
            f"Types: deb\nURIs: {archive.url}\nSuites: test\nComponents: main\nSigned-By:{signed_by}\n",
            "sources.list.d/archive.sources",
        )
        assert machine.names("{suite: test, base: none, include: [docs]}") == ["docs"]


def test_snapshot_takes_the_place_of_the_archive(machine: Machine, archive: Archive, tmp_path: Path) -> None:
    archive.add("docs", "2.0", suite="test-updates")
    archive.write()
    machine.entry(
        f"deb [trusted=yes] {archive.url} test main\ndeb [trusted=yes] {archive.url} test-updates main\n"
    )
    older = Archive(tmp_path / "2025" / "archive")
    older.add("docs", "0.5")
    older.write()
    spec = "{suite: test, base: none, include: [docs]}"
    manifest = machine.resolve(spec, snapshot=older.url)
    assert list(manifest["sources"]["org.osbuild.curl"]["items"].values()) == [
        {"url": f"{older.url}/pool/docs_0.5_all.deb"}
    ]
    assert manifest["metadata"]["resolve"]["snapshot"] == older.url
    assert machine.resolve(spec, snapshot=older.url, offline=True) == manifest


def test_security_address_is_derived_from_that_of_the_snapshot(machine: Machine, tmp_path: Path) -> None:
    for part, suite in (("debian", "test"), ("debian-security", "test-security")):
        now, then = Archive(tmp_path / part), Archive(tmp_path / "snap" / part / "20250101")
        now.add("docs", "9", suite=suite)
        then.add("docs", "1" if suite == "test" else "2", suite=suite)
        now.write()
        then.write()
        machine.entry(f"deb [trusted=yes] {now.url} {suite} main\n", f"sources.list.d/{part}.list")
    machine.entry("")
    url = f"file://{tmp_path}/snap/debian/20250101"
    text = dumps(machine.resolve("{suite: test, base: none, include: [docs]}", snapshot=url))
    assert f"file://{tmp_path}/snap/debian-security/20250101/pool/docs_2_all.deb" in text


def test_snapshot_serves_a_suite_that_the_machine_does_not_have(machine: Machine, tmp_path: Path) -> None:
    old = Archive(tmp_path / "old")
    old.add("docs", suite="older")
    old.write()
    machine.entry(f"deb [trusted=yes] {old.url} unrelated main\n")
    error = code_of(machine, "{suite: older, base: none, include: [docs]}", snapshot=old.url)
    assert error.code == "resolve.signature"
    assert code_of(machine, "{suite: older}", snapshot="not an address").code == "resolve.snapshot"


def test_http_with_credentials_that_stay_out(
    machine: Machine, archive: Archive, serve: Callable[..., str]
) -> None:
    secret = "basic " + base64.b64encode(b"user:hunter2").decode()
    place = serve(archive.root, secret.replace("basic", "Basic"))
    spec = "{suite: test, base: none, include: [server]}"
    machine.entry(f"deb [trusted=yes] http://user:hunter2@{place}/ test main\n")
    text = dumps(machine.resolve(spec))
    assert f"http://{place}/pool/server_1.0_all.deb" in text
    assert "hunter2" not in text
    machine.entry(f"deb [trusted=yes] http://user:wrong@{place}/ test main\n")
    error = code_of(machine, spec)
    assert error.code == "resolve.index"
    assert "wrong" not in error.detail and "auth.conf" in str(error.hint)
    machine.entry(f"deb [trusted=yes] http://{place}/ test main\n")
    machine.entry(f"machine http://{place}\nlogin user\npassword hunter2\n", "auth.conf")
    assert "hunter2" not in dumps(machine.resolve(spec))


def test_proxy_of_the_machine_is_used(machine: Machine, archive: Archive, serve: Callable[..., str]) -> None:
    """The host does not exist; only the proxy, which serves any address, can have answered."""
    proxy = serve(archive.root.parent)
    machine.entry("deb [trusted=yes] http://nowhere.invalid/archive test main\n")
    machine.entry(
        f'Acquire::http::Proxy "http://{proxy}";\nAPT::Install-Recommends "true";\n', "apt.conf.d/10proxy"
    )
    spec = "{suite: test, base: none, include: [docs]}"
    try:
        found = machine.names(spec)
    except ResolveError as error:
        pytest.fail(f"{error.code}: {error.detail}")
    assert found == ["docs"]


def test_unreachable_archive_is_retryable_and_offline_uses_the_last_index(
    machine: Machine, archive: Archive, serve: Callable[..., str]
) -> None:
    spec = "{suite: test, base: none, include: [docs]}"
    place = serve(archive.root)
    machine.entry(f"deb [trusted=yes] http://{place} test main\n")
    machine.entry('Acquire::Retries "0";\n', "apt.conf.d/retries")
    assert code_of(machine, spec, offline=True).code == "resolve.offline"
    online = machine.resolve(spec)
    archive.root.rename(archive.root.with_name("moved"))
    assert machine.resolve(spec, offline=True) == online
    machine.entry("deb [trusted=yes] http://127.0.0.1:1 test main\n")
    error = code_of(machine, spec)
    assert (error.code, error.retryable) == ("resolve.network", True)


def test_what_an_interrupted_apt_leaves_is_removed(tmp_path: Path) -> None:
    """A program of apt that is killed leaves temporary files: copies of settings, of what it verified."""
    settings = ResolveSettings(state_dir=tmp_path / "state", apt_sources=tmp_path / "etc")
    left = []
    with pytest.raises(KeyboardInterrupt), open_apt([], "amd64", "test", settings) as apt:
        left.append(Path(run("mktemp", config=apt.directory / "apt.conf").stdout.strip()))
        assert left[0].is_file() and left[0].is_relative_to(apt.directory)
        raise KeyboardInterrupt
    assert not left[0].parent.exists()
    # SIGKILL gives nobody the time to remove anything; the next one does.
    left[0].parent.mkdir()
    left[0].write_text("left")
    with open_apt([], "amd64", "test", settings) as apt:
        assert apt.directory == left[0].parent.parent
        assert not left[0].exists()
    assert not left[0].parent.exists()


def test_suite_that_the_archive_does_not_have(machine: Machine, archive: Archive) -> None:
    machine.entry(f"deb [trusted=yes] {archive.url} absent main\n")
    assert code_of(machine, "{suite: absent}").code == "resolve.index"


def test_index_without_essential_packages(machine: Machine, tmp_path: Path) -> None:
    small = Archive(tmp_path / "small")
    small.add("docs")
    small.write()
    machine.entry(f"deb [trusted=yes] {small.url} test main\n")
    assert code_of(machine, "{suite: test}").code == "resolve.index"


def test_flat_repository(machine: Machine, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    made = Archive(flat)
    made.add("extra", Architecture="all")
    (flat / "Packages").write_text("\n".join(made.packages["test"]))
    repository = f"{{url: 'file://{flat}', suite: ./, trusted: true}}"
    spec = f"{{suite: test, base: none, include: [extra], repositories: [{repository}]}}"
    assert machine.names(spec) == ["extra"]


def test_mirror_list_of_cloud_images(machine: Machine, archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "mirrors.list").write_text(f"# ours\n{archive.url}\tpriority:1\nhttp://second.invalid/\n")
    machine.entry(f"deb [trusted=yes] mirror+file:{tmp_path}/mirrors.list test main\n")
    assert f"{archive.url}/pool/docs" in dumps(machine.resolve("{suite: test, base: none, include: [docs]}"))


def test_what_was_set_is_recorded_but_secrets(machine: Machine) -> None:
    manifest = machine.resolve("{suite: test, base: none}", variables={"token": "hunter2", "size": "3"})
    recorded = manifest["metadata"]["resolve"]
    assert recorded == {"template": "template.yaml", "variables": {"size": "3"}, "sizes": {}}
    assert "hunter2" not in json.dumps(manifest)


def test_sizes_are_recorded(machine: Machine) -> None:
    manifest = machine.resolve("{suite: test, base: none, include: [docs]}")
    sizes = manifest["metadata"]["resolve"]["sizes"]
    assert set(sizes) == set(manifest["sources"]["org.osbuild.curl"]["items"])
    assert all(size > 0 for size in sizes.values())


def test_state_is_private(machine: Machine) -> None:
    machine.resolve("{suite: test, base: none, include: [docs]}")
    assert [d.stat().st_mode & 0o777 for d in machine.state.iterdir()] == [0o700]
    assert not list(machine.state.rglob("*.deb"))


def test_indexes_that_nobody_used_for_long_are_dropped(machine: Machine, archive: Archive) -> None:
    spec = "{suite: test, base: none, include: [docs]}"
    machine.resolve(spec)
    (unused,) = machine.state.iterdir()
    os.utime(unused, (0, 0))
    other = machine.state / "not-ours"
    other.mkdir()
    os.utime(other, (0, 0))
    machine.entry(f"deb [trusted=yes] {archive.url}/ test main\n")
    machine.resolve(spec)
    assert not unused.exists() and other.exists() and len(list(machine.state.iterdir())) == 2


def test_runs_at_the_same_time_share_the_state(machine: Machine, archive: Archive) -> None:
    template = machine.etc.parent / "shared.yaml"
    template.write_text(
        "pipelines: [{name: os, stages: [{refs: {$packages: {suite: test, include: [server]}}}]}]"
    )
    with ThreadPoolExecutor(4) as pool:
        texts = {dumps(m) for m in pool.map(machine.resolve_file, [template] * 4)}
    assert len(texts) == 1
