"""What is done in which order, and the exit statuses. With --json there is one document, whatever happens."""

from __future__ import annotations

import json

import pytest

from tests.integration.osbuild_cli import clientparser
from tests.integration.osbuild_cli.conftest import HELLO, INLINE, copy_hello, mkdir

pytestmark = pytest.mark.root


def built(bench):
    """Return the names of the stages whose trees the store has."""
    documents = (bench.store / "objects").glob("*/object.json")
    return sorted(text for path in documents if '"stages"' in (text := path.read_text()))


def plain(bench):
    return bench.document({"name": "p", "stages": [mkdir("a"), copy_hello()]}, sources=INLINE)


def refused(bench, manifest, *arguments, status=1):
    """Call twice: with --json a client gets the reason, without it standard output is empty. Return the result."""
    ran = bench.osbuild(manifest, *arguments, "--json")
    silent = bench.osbuild(manifest, *arguments)
    assert (ran.status, silent.status, silent.stdout) == (status, status, "")
    assert silent.stderr == ran.stderr != ""
    assert "Traceback" not in ran.stderr
    result = ran.result
    assert not result.success
    return result


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--export", "nothing"], "usage.unknown-export"),
        (["--export", "p", "--checkpoint", "nothing"], "usage.unknown-checkpoint"),
        (["--checkpoint", "nothing"], "usage.unknown-checkpoint"),
        # The first of two.
        (["--export", "nothing", "--checkpoint", "nothing"], "usage.unknown-export"),
        (["--break", "org.osbuild.nothing", "--export", "p"], "usage.break"),
        (["--in-vm", "p"], "usage.in-vm"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(bench, arguments, code):
    assert refused(bench, plain(bench), *arguments).failed["code"] == code
    assert not bench.store.exists() and not bench.out.exists()


def test_a_stage_to_break_at_that_is_not_there(bench):
    path = bench.directory / "manifest.json"
    path.write_text(plain(bench))
    ran = bench.call("--store", bench.store, "--break", "org.osbuild.nothing", "--json", path).wait()
    assert (ran.status, ran.result.failed["code"]) == (1, "usage.unknown-stage")


def test_an_export_without_an_output_directory(bench):
    ran = bench.call("--store", bench.store, "--export", "p", "--json", "-", manifest=plain(bench)).wait()
    assert (ran.status, ran.result.failed["code"]) == (1, "usage.no-output-directory")
    assert not bench.store.exists()


@pytest.mark.parametrize(
    ("manifest", "path"),
    [
        ('{"version": "2", "pipelines": [{"name": "p", "stages": [{}]}]}', ("pipelines", 0, "stages", 0)),
        ('{"version": "2", "pipelines": [{"name": "p", "build": "name:q"}]}', ("pipelines", 0, "build")),
        ('{"version": "3"}', ("version",)),
        ("[]", ()),
        ("{", ()),
        ("", ()),
    ],
)
def test_a_manifest_that_is_none(bench, manifest, path):
    result = refused(bench, manifest, "--export", "p", status=2)
    assert result.error == clientparser.VALIDATION
    assert path in [place for _, place in result.errors]
    inspected = bench.osbuild(manifest, "--inspect")
    assert (inspected.status, inspected.result.errors) == (2, result.errors)


def test_a_source_item_that_nobody_lists(bench):
    manifest = bench.document({"name": "p", "stages": [copy_hello()]})
    result = refused(bench, manifest, "--export", "p", status=2)
    assert result.errors[0][1] == ("pipelines", 0, "stages", 0, "inputs", "f", "references")


def test_a_manifest_that_cannot_be_read(bench):
    ran = bench.call("--json", bench.directory / "none.json").wait()
    assert (ran.status, ran.result.failed["code"]) == (1, "usage.manifest")


@pytest.mark.parametrize(
    "wrong",
    [
        ["--no-such-flag"],
        ["--stage-timeout", "soon"],
        ["--stage-timeout=-1"],
        ["--cache-max-size", "much"],
        ["--monitor", "OwnMonitor"],
        ["--monitor-fd", "three"],
        ["--in", "p"],
        ["one", "two"],
        [],
    ],
)
def test_arguments_that_are_wrong(bench, wrong):
    ran = bench.call(*wrong, "--js").wait()
    assert (ran.status, ran.result.failed["code"]) == (2, "usage.arguments")
    assert "usage: osbuild" in ran.stderr


def test_a_library_that_is_none(bench):
    ran = bench.call("--libdir", bench.directory / "none", "--json", "-", manifest=plain(bench)).wait()
    assert (ran.status, ran.result.failed["code"]) == (1, "module.no-library")


def test_a_checkpoint_alone_builds_nothing_and_fetches_all(bench):
    ran = bench.osbuild(plain(bench), "--checkpoint", "*", "--json")
    assert ran.status == 0 and ran.result.log == {}
    assert (bench.store / "sources" / "org.osbuild.files" / HELLO).is_file()
    assert built(bench) == []


def test_inspect_checks_names_and_builds_nothing(bench):
    ran = bench.osbuild(plain(bench), "--inspect", "--export", "nothing")
    assert (ran.status, ran.result.failed["code"]) == (1, "usage.unknown-export")
    ran = bench.osbuild(plain(bench), "--inspect", "--export", "p", "--checkpoint", "org.osbuild.*", "--json")
    assert (ran.status, ran.stderr) == (0, "")
    assert "pipelines" in clientparser.one_document(ran.stdout)
    assert not bench.store.exists() and not bench.out.exists()


def test_a_pipeline_is_exported_by_its_id_too(bench):
    manifest = plain(bench)
    id_ = json.loads(bench.osbuild(manifest, "--inspect").stdout)["pipelines"][0]["stages"][-1]["id"]
    ran = bench.osbuild(manifest, "--export", id_, "--json")
    assert ran.status == 0 and (bench.out / "p" / "hello").is_file()


def test_abbreviations(bench):
    ran = bench.call(
        *("--sto", bench.store, "--lib", bench.library, "--output-dir", bench.out, "--exp", "p"),
        *("--check", "p", "--js", "--rund", "/nowhere", "-"),
        manifest=plain(bench),
    ).wait()
    assert ran.status == 0, ran.stderr
    assert ran.result.success and (bench.out / "p" / "hello").is_file()


def test_paths_are_relative_to_where_the_call_was_made(bench):
    more = {"manifest": plain(bench), "cwd": bench.directory}
    ran = bench.call("--output-directory", "there", "--export", "p", "-q", "-", **more).wait()
    assert (ran.status, ran.stdout, ran.stderr) == (0, "", "")
    assert (bench.directory / "there" / "p" / "hello").is_file()
    assert (bench.directory / ".osbuild" / "objects").is_dir()


def test_a_module_with_broken_metadata(bench):
    (bench.library / "stages" / "org.osbuild.mkdir.meta.json").write_text("{")
    assert refused(bench, plain(bench), "--export", "p").failed["code"] == "module.metadata"
