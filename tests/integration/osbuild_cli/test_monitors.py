"""What monitors show, and that nothing which happens to them ends a build."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess

import pytest

from tests.integration.engine.conftest import OSBUILD, eventually
from tests.integration.osbuild_cli import clientparser
from tests.integration.osbuild_cli.conftest import INLINE, copy_hello, mkdir, tar_of

pytestmark = pytest.mark.root

RECORDS = ("--monitor=JSONSeqMonitor", "--monitor-fd=3")


def test_the_records_of_a_build(bench):
    bench.add_stage("org.osbuild.say", "print('said')\nosbuild.api.metadata({'a': {'b': None, 'c': 1}})")
    say = {"type": "org.osbuild.say", "options": {"empty": "", "n": 1}}
    manifest = bench.document(
        {"name": "os", "stages": [say, copy_hello()]},
        {"name": "archive", "stages": [tar_of("os")]},
        sources=INLINE,
    )
    ran = bench.osbuild(manifest, "--export", "archive", *RECORDS)
    assert ran.status == 0 and ran.stdout == ""
    seen = ran.records
    assert [s.message for s in seen if s.shown] == [
        "Starting pipeline source org.osbuild.inline",
        "Finished module org.osbuild.inline",
        "Finished pipeline source org.osbuild.inline",
        "Starting pipeline os",
        "Starting module org.osbuild.say",
        "Finished module org.osbuild.say",
        "Starting module org.osbuild.copy",
        "Finished module org.osbuild.copy",
        "Finished pipeline os",
        "Starting pipeline archive",
        "Starting module org.osbuild.tar",
        "Finished module org.osbuild.tar",
        "Finished pipeline archive",
    ]
    assert (seen[0].message, seen[0].origin) == ("starting -", "osbuild.main_cli")
    assert (seen[-1].message, seen[-1].origin) == ("manifest - finished successfully\n", "osbuild.main_cli")
    assert "".join(s.message for s in seen if s.origin == "stages/org.osbuild.say") == "said\n"
    assert [s.timestamp for s in seen] == sorted(s.timestamp for s in seen)
    (end,) = [s for s in seen if s.message == "Finished module org.osbuild.say"]
    assert (end.pipeline, end.stage) == ("os", "org.osbuild.say")
    assert (end.options, end.metadata) == ({"n": 1}, {"a": {"c": 1}})
    assert end.duration > 0 and end.result["output"].endswith("said\n")
    assert end.progress == (("pipelines/sources", 1, 3), ("pipeline: os", 1, 2))
    # What comes next says nothing of the stage before.
    (start,) = [s for s in seen if s.message == "Starting pipeline archive"]
    assert (start.pipeline, start.stage) == ("archive", None)
    assert seen[-1].progress == (("pipelines/sources", 3, 3),)


def test_what_is_found_in_the_store_is_not_counted(bench):
    manifest = bench.document(
        {"name": "os", "stages": [mkdir("a"), mkdir("b")]}, {"name": "t", "stages": [tar_of("os")]}
    )
    bench.osbuild(manifest, "--export", "os")
    seen = bench.osbuild(manifest, "--export", "t", *RECORDS).records
    assert {s.pipeline for s in seen} == {None, "t"}
    assert seen[-1].progress == (("pipelines/sources", 1, 1),)
    again = bench.osbuild(manifest, "--export", "t", *RECORDS).records
    assert not [s for s in again if s.shown] and again[-1].progress == (("pipelines/sources", 0, 0),)


def chatter(bench, count=4):
    """Return a manifest of pipelines that run at the same time, each of which says its name again and again."""
    bench.add_stage(
        "org.osbuild.chatter",
        "for n in range(5):\n    print(args['options']['name'], n)\n    time.sleep(0.05)",
    )
    return bench.document(
        *(
            {
                "name": f"p{n}",
                "stages": [
                    {"type": "org.osbuild.chatter", "options": {"name": f"p{n}", "turn": turn}}
                    for turn in range(2)
                ],
            }
            for n in range(count)
        )
    )


EXPORTS = [word for n in range(4) for word in ("--export", f"p{n}")]


def test_pipelines_side_by_side_keep_their_own_context_and_progress(bench):
    ran = bench.osbuild(chatter(bench), *EXPORTS, *RECORDS)
    assert ran.status == 0
    seen = ran.records
    for name in ("p0", "p1", "p2", "p3"):
        own = [s for s in seen if s.pipeline == name]
        said = "".join(s.message for s in own if s.origin == "stages/org.osbuild.chatter")
        assert said == "".join(f"{name} {n}\n" for n in range(5)) * 2
        assert {s.progress[1][0] for s in own[:-1]} == {f"pipeline: {name}"}
        assert [s.progress[1][1] for s in own if s.result and s.stage] == [1, 2]
    assert seen[-1].progress == (("pipelines/sources", 4, 4),)


def test_the_log_has_one_pipeline_after_the_other(bench):
    ran = bench.osbuild(chatter(bench), *EXPORTS)
    assert ran.status == 0
    said = re.findall(r"^(p\d) \d$", ran.stdout, re.MULTILINE)
    order = list(dict.fromkeys(said))
    assert sorted(order) == ["p0", "p1", "p2", "p3"]
    assert said == [name for name in order for _ in range(10)]


def test_the_log(bench):
    bench.add_stage("org.osbuild.say", "print('said', end='')")
    manifest = bench.document(
        {"name": "p", "source-epoch": 5, "stages": [{"type": "org.osbuild.say", "options": {"n": 1}}]}
    )
    ran = bench.osbuild(manifest, "--export", "p")
    assert ran.status == 0 and ran.stderr == ""
    lines = ran.stdout.splitlines()
    name, _, id_ = lines[1].rpartition(" ")
    assert (lines[0], name) == ("starting -", "Pipeline p:")
    assert lines[2:4] == ["Build", "  root: <host>"] and lines[4].startswith("  runner: org.osbuild.")
    assert lines[5] == "  source-epoch: 5"
    assert f'org.osbuild.say: {id_} {{\n  "n": 1\n}}\n' in ran.stdout
    assert "\nsaid\n\n⏱  Duration: " in ran.stdout
    assert lines[-2:] == ["manifest - finished successfully", f"p:\t{id_}"]


def test_quiet_is_quiet(bench):
    ran = bench.osbuild(bench.document({"name": "p", "stages": [mkdir("a")]}), "--export", "p", "--quiet")
    assert (ran.status, ran.stdout, ran.stderr) == (0, "", "")
    ran = bench.osbuild(bench.fail_with("print('why')\nreturn 2"), "--export", "p", "-q")
    assert (ran.status, ran.stdout) == (1, "")
    assert "why" in ran.stderr and "ended with status 2" in ran.stderr


@pytest.mark.parametrize("name", ["LogMonitor", "JSONSeqMonitor"])
def test_without_a_descriptor_a_monitor_does_not_mix_with_the_document(bench, name):
    ran = bench.osbuild(
        bench.document({"name": "p", "stages": [mkdir("a")]}), "--export", "p", "--json", "--monitor", name
    )
    assert ran.status == 0 and ran.result.success
    assert "org.osbuild.mkdir" in ran.stderr
    # Without --json it is what standard output is for.
    ran = bench.osbuild(
        bench.document({"name": "p", "stages": [mkdir("b")]}), "--export", "p", "--monitor", name
    )
    assert "org.osbuild.mkdir" in ran.stdout and ran.stderr == ""
    if name == "JSONSeqMonitor":
        clientparser.records(ran.stdout.encode())


def start(bench, redirection, *arguments, **more):
    """Begin a build whose descriptor 3 is what the shell's ``redirection`` makes of it."""
    path = bench.directory / "manifest.json"
    own = ("--store", bench.store, "--libdir", bench.library, "--output-directory", bench.out)
    command = [OSBUILD, *own, "--export", "p", "--json", *RECORDS, *arguments, path]
    process = subprocess.Popen(
        ["bash", "-c", f'exec "$0" "$@" {redirection}', *map(str, command)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=bench.environment,
        **more,
    )
    bench.started.append(process)
    return process


@pytest.mark.parametrize(
    "redirection", ["3>&-", "3</dev/null", "3>/dev/full"], ids=["closed", "reading", "full"]
)
def test_a_descriptor_that_cannot_be_written_to_is_one_warning(bench, redirection):
    bench.manifest({"name": "p", "stages": [mkdir("a")]})
    process = start(bench, redirection)
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0 and clientparser.result(out).success
    assert said.count("warning") == said.count("\n") == 1 and "descriptor 3" in said


def test_a_number_that_is_no_descriptor_is_one_warning(bench):
    bench.manifest({"name": "p", "stages": [mkdir("a")]})
    process = start(bench, "", "--monitor-fd=99999999999999")
    _, said = process.communicate(timeout=120)
    assert (process.returncode, said.count("\n")) == (0, 1)


def test_a_reader_that_has_gone_is_one_warning(bench):
    bench.manifest({"name": "p", "stages": [mkdir("a"), mkdir("b")]})
    reading, writing = os.pipe()
    process = start(bench, f"3>&{writing} {writing}>&-", pass_fds=[writing])
    os.close(writing)
    os.close(reading)
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0 and clientparser.result(out).success
    assert said.count("warning") == said.count("\n") == 1 and "Broken pipe" in said


def test_a_reader_that_does_not_read_does_not_hold_up_the_end(bench):
    """A pipe that is full, and a Ctrl-C."""
    bench.add_stage("org.osbuild.flood", "while True: print('x' * 1000)")
    bench.manifest({"name": "p", "stages": [{"type": "org.osbuild.flood"}]})
    reading, writing = os.pipe()
    process = start(bench, f"3>&{writing} {writing}>&-", pass_fds=[writing])

    assert eventually(lambda: not _writable(writing))
    os.close(writing)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=120)
    assert (process.returncode, clientparser.result(out).error) == (130, "cancelled")
    assert said.endswith("Aborted\n")
    assert bench.leftovers() == []
    os.close(reading)


def _writable(fd):
    return bool(select.select([], [fd], [], 0)[1])


def test_output_comes_in_whole_characters(bench):
    bench.add_stage(
        "org.osbuild.split",
        "for byte in 'äöü€😀'.encode():\n    os.write(1, bytes([byte]))\n    time.sleep(0.02)",
    )
    manifest = bench.document({"name": "p", "stages": [{"type": "org.osbuild.split"}]})
    ran = bench.osbuild(manifest, "--export", "p", *RECORDS, "--json")
    parts = [s.message for s in ran.records if s.origin == "stages/org.osbuild.split"]
    assert "".join(parts) == "äöü€😀" == ran.result.log["p"][0].output[-5:]
