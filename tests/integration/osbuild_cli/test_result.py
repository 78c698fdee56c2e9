"""The documents that --json and --inspect print."""

from __future__ import annotations

import json

import pytest

from tests.integration.osbuild_cli import clientparser
from tests.integration.osbuild_cli.conftest import INLINE, copy_hello, mkdir, tar_of

pytestmark = pytest.mark.root


def metadata_stages(bench):
    """Return two stages of one type with metadata, the later of which wins."""
    bench.add_stage(
        "org.osbuild.meta", "osbuild.api.metadata({'n': args['options']['n'], str(args['options']['n']): 0})"
    )
    return [{"type": "org.osbuild.meta", "options": {"n": n}} for n in (1, 2)]


MERGED = {"org.osbuild.meta": {"n": 2, "1": 0, "2": 0}}


def test_metadata_is_there_whether_built_or_found(bench):
    manifest = bench.document(
        {"name": "os", "stages": [mkdir("etc"), *metadata_stages(bench)]},
        {"name": "archive", "stages": [tar_of("os")]},
        {"name": "other", "stages": [mkdir("other")]},
    )
    built = bench.osbuild(manifest, "--export", "archive", "--json").result
    assert built.metadata == {"os": MERGED}
    assert set(built.log) == {"os", "archive"}
    # Now the export alone is looked at, and nobody needs the tree that it was made of.
    found = bench.osbuild(manifest, "--export", "archive", "--json").result
    assert found.metadata == {"os": MERGED}
    assert found.log == {}
    partly = bench.osbuild(manifest, "--export", "other", "--json").result
    assert partly.metadata == {"os": MERGED}
    assert set(partly.log) == {"other"}


def test_output_is_whole_and_whole_again_where_the_store_forgets_it(bench):
    bench.add_stage("org.osbuild.chatty", "print('ä' * 40000 + 'end')\nreturn args['options'].get('n', 0)")
    for status in (0, 1):
        stage = {"type": "org.osbuild.chatty", "options": {"n": status}}
        manifest = bench.document({"name": "p", "stages": [stage]})
        ran = bench.osbuild(
            manifest,
            *("--export", "p", "--json", "--monitor=JSONSeqMonitor", "--monitor-fd=3"),
            *("--cache-max-size", "0"),
        )
        assert ran.status == status
        (entry,) = ran.result.log["p"]
        assert entry.output.endswith("ä" * 40000 + "end\n") and "hidden" not in entry.output
        # What the stream has of it is cut.
        (ended,) = [s.result for s in ran.records if s.result is not None and s.stage is not None]
        first, _, rest = ended["output"].partition("\n")
        hidden = len(entry.output.encode()) - len(rest.encode())
        assert (first, len(rest)) == (f"[...{hidden} bytes hidden...]", 31000)
        if status:
            assert ran.result.failed["output"] == entry.output


@pytest.mark.parametrize(
    ("code", "kind", "value"),
    [
        ("raise ValueError('first\\nsecond')", "ValueError", "first\nsecond"),
        ("os.kill(os.getpid(), 9)", "stage.killed", "was ended by signal 9"),
        ("return 7", None, None),
    ],
)
def test_a_failed_stage_has_what_it_raised(bench, code, kind, value):
    ran = bench.osbuild(bench.fail_with(f"print('before')\n{code}"), "--export", "p", "--json")
    assert ran.status == 1
    result = ran.result
    assert (result.error, result.failed["type"]) == ("stage", "org.osbuild.bad")
    assert "before\n" in result.failed["output"]
    assert result.log["p"][-1].error == result.failed["error"]
    if kind is None:
        assert result.failed["error"] is None
    else:
        data = clientparser.exception(result.failed["error"])
        assert data["type"] == kind and value in data["value"]
        assert (data["traceback"] != "") == (kind == "ValueError")


def test_the_stage_that_failed_is_named_and_not_what_was_cancelled_for_it(bench):
    bench.add_stage("org.osbuild.slow", "time.sleep(60)")
    bench.add_stage("org.osbuild.bad", "time.sleep(1)\nreturn 9")
    manifest = bench.document(
        {"name": "a", "stages": [{"type": "org.osbuild.slow"}]},
        {"name": "b", "stages": [{"type": "org.osbuild.bad"}]},
    )
    ran = bench.osbuild(manifest, "--export", "a", "--export", "b", "--json")
    assert ran.status == 1
    assert ran.result.failed["type"] == "org.osbuild.bad"
    assert ran.result.log["a"][0].error is None


def test_an_export_that_cannot_be_written(bench):
    bench.out.mkdir()
    (bench.out / "p").write_text("in the way")
    ran = bench.osbuild(bench.document({"name": "p", "stages": [mkdir("a")]}), "--export", "p", "--json")
    assert ran.status == 1
    assert (ran.result.error, ran.result.failed["export"]["code"]) == ("export", "export.directory")


def version_1(bench, *, fails=()):
    """Return a manifest of version 1; the stages named in ``fails`` fail."""
    (bench.library / "assemblers").mkdir(exist_ok=True)
    code = "osbuild.api.metadata({'made': args['options']['name']})\nreturn args['options']['status']"
    bench.add_stage("org.osbuild.step", code)
    program = (bench.library / "stages" / "org.osbuild.step").read_text()
    bench.add_program("assemblers/org.osbuild.put", program)

    def step(name):
        return {"name": "org.osbuild.step", "options": {"name": name, "status": int(name in fails)}}

    assembler = {**step("image"), "name": "org.osbuild.put"}
    return json.dumps({"pipeline": {"stages": [step("one"), step("two")], "assembler": assembler}})


def test_version_1_built_and_found(bench):
    manifest = version_1(bench)
    ran = bench.osbuild(manifest, "--export", "assembler", "--json")
    assert ran.status == 0, ran.stderr
    document = clientparser.result_1(ran.stdout)
    assert document["success"] is True
    assert [stage["metadata"]["made"] for stage in document["stages"]] == ["one", "two"]
    assert document["assembler"]["type"] == "org.osbuild.put"
    assert clientparser.result_1(bench.osbuild(manifest, "--export", "assembler", "--json").stdout) == {
        "success": True
    }


@pytest.mark.parametrize("fails", ["two", "image"])
def test_version_1_with_a_stage_that_fails(bench, fails):
    ran = bench.osbuild(version_1(bench, fails=[fails]), "--export", "assembler", "--json")
    assert ran.status == 1
    document = clientparser.result_1(ran.stdout)
    assert document["success"] is False
    assert [stage["success"] for stage in document["stages"]] == [True, fails != "two"]
    assert ("assembler" in document) == (fails == "image")
    failed = document["assembler"] if fails == "image" else document["stages"][-1]
    assert (failed["success"], failed["error"]) == (False, None)


def test_inspect_has_all_that_osbuild_prints_and_what_it_leaves_out(bench):
    """Whoever reads ids and types finds them where they were."""
    bench.add_service("sources/org.osbuild.own", "return")
    source = {"items": {}, "options": {"mirror": "none"}}
    device = {"type": "org.osbuild.loopback", "options": {"filename": "disk"}}
    stage = {
        "type": "org.osbuild.noop",
        "devices": {"disk": device, "inner": {**device, "parent": "disk"}},
    }
    manifest = bench.document(
        {"name": "p", "source-epoch": 5, "stages": [copy_hello(), stage]},
        {"name": "q", "stages": [tar_of("p")]},
        sources={**INLINE, "org.osbuild.own": source},
    )
    ran = bench.osbuild(manifest, "--inspect")
    assert ran.status == 0, ran.stderr
    found = clientparser.one_document(ran.stdout)
    first, second = found["pipelines"]
    assert first["source-epoch"] == 5
    assert first["stages"][1]["devices"]["inner"]["parent"] == "disk"
    assert found["sources"]["org.osbuild.own"]["options"] == {"mirror": "none"}
    # References are ids, as ever.
    (reference,) = second["stages"][0]["inputs"]["tree"]["references"]
    assert reference == first["stages"][-1]["id"]


def test_inspect_of_version_1(bench):
    ran = bench.osbuild(version_1(bench), "--inspect")
    assert ran.status == 0, ran.stderr
    pipeline = clientparser.one_document(ran.stdout)["pipeline"]
    assert [set(stage) for stage in pipeline["stages"]] == [{"name", "id", "options"}] * 2
    assert pipeline["assembler"]["id"]
