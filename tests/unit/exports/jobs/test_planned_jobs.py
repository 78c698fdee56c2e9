"""A plan as something to run: its steps, and what each form makes of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from osbuild_core.catalog.library import Library, default_library
from osbuild_core.engine.keys import Digests, manifest_keys
from osbuild_core.engine.plan import export_targets, leaves, make_plan
from osbuild_core.exports.jobs.decode import decode_job_template
from osbuild_core.exports.jobs.planned import FORMS, PlannedSettings, Resources, write_plan
from osbuild_core.exports.jobs.planned.steps import steps_of
from osbuild_core.exports.jobs.planned.text import manifest_text
from osbuild_core.formats import describe, load

DIGESTS = Digests(lambda *_: "module", lambda _: "runner", "sdk", "x86_64", "host")
ODD = 'we\'ird {{x}} "q" $HOME `id` \\'

ODD_STORE = "/srv/$HOME}\"`id`\\ '"

RECORDER = """#!/bin/sh
echo "start $*" >>"$RECORD"
trap 'echo "term $*" >>"$RECORD"; kill "$nap"; exit 143' TERM
case "$*" in *"$FAIL"*) exit 7 ;; esac
if [ -e "$RECORD.slow" ]; then sleep 60 & nap=$!; wait; fi
sleep 0.2
cat "$2" >"$RECORD.manifest"
printf %s "$OSBUILD_CORE_STORE" >"$RECORD.store"
echo "end $*" >>"$RECORD"
"""


def pipeline(name: str, *trees: str, option: str = "x"):
    stages = [
        {
            "type": "org.osbuild.noop",
            "options": {"option": option},
            "inputs": {
                "t": {
                    "type": "org.osbuild.tree",
                    "origin": "org.osbuild.pipeline",
                    "references": [f"name:{tree}"],
                }
            },
        }
        for tree in trees
    ]
    return {"name": name, "stages": stages or [{"type": "org.osbuild.noop", "options": {"option": option}}]}


DOCUMENT = {
    "version": "2",
    "pipelines": [
        pipeline("base", option="é {{Param.None}} }}} END-OF-MANIFEST\nEND-OF-MANIFEST\n"),
        pipeline(ODD, "base"),
        pipeline("right", "base", option="r"),
        pipeline("both", "right", ODD),
        pipeline("alone", option="alone"),
    ],
}


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(default_library())


@pytest.fixture(scope="module")
def plan(library: Library):
    manifest = load(DOCUMENT, library)
    return make_plan(
        manifest,
        manifest_keys(manifest, DIGESTS),
        has=lambda _: False,
        pipelines=leaves(manifest),
        exports=export_targets(manifest, ["both", "base"]),
    )


def test_steps(plan) -> None:
    steps = steps_of(plan)
    assert [(step.label, step.needs, step.level) for step in steps] == [
        ("1-base", (), 0),
        ("2-right", ("1-base",), 1),
        ("3-we-ird-x-q-HOME-id", ("1-base",), 1),
        ("4-both", ("2-right", "3-we-ird-x-q-HOME-id"), 2),
        ("5-alone", (), 0),
        ("6-exports", ("4-both", "1-base"), 3),
    ]
    assert steps[2].words == ("--pipeline", ODD)
    assert steps[5].words == ("--export", "both", "--export", "base") and steps[5].output


def test_the_manifest_gives_the_same_ids(library: Library) -> None:
    text = manifest_text(DOCUMENT)
    assert text.isascii() and "{{" not in text and "}}" not in text
    assert "END-OF-MANIFEST" not in text.splitlines()
    assert describe(load(json.loads(text), library)) == describe(load(DOCUMENT, library))


@pytest.fixture
def script(plan, tmp_path: Path) -> Path:
    (tmp_path / "recorder").write_text(RECORDER)
    path = tmp_path / "build.sh"
    settings = PlannedSettings(libraries=("/li b",), store=ODD_STORE)
    path.write_text(write_plan("sh", plan, DOCUMENT, settings)["build.sh"])
    return path


def start(script: Path, **variables: str) -> subprocess.Popen[bytes]:
    place = script.parent
    environment = {
        **os.environ,
        # Words before the command, as with sudo.
        "OSBUILD_CORE": f"sh {place}/recorder",
        "RECORD": str(place / "record"),
        "FAIL": "nothing",
        "TMPDIR": str(place / "tmp"),
        **variables,
    }
    (place / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(["sh", script, "--quiet", "two words"], env=environment, cwd=place)


def record(script: Path) -> list[str]:
    path = script.parent / "record"
    lines = path.read_text().splitlines() if path.exists() else []
    return [" ".join(w for w in line.split() if not w.endswith("manifest.json")) for line in lines]


@pytest.mark.parametrize("jobs", ["1", "9"])
def test_the_shell_script(script: Path, library: Library, jobs: str) -> None:
    assert start(script, JOBS=jobs).wait(timeout=60) == 0
    lines = record(script)
    common = "build --libdir /li b --pipeline"
    more = "--quiet two words"
    first = {f"{common} base {more}", f"{common} alone {more}"}
    second = {f"{common} {ODD} {more}", f"{common} right {more}"}
    third = {f"{common} both {more}"}
    last = {f"build --libdir /li b --export both --export base --output-directory output {more}"}
    at = 0
    # Nothing before what it needs has ended.
    for level in (first, second, third, last):
        now, at = lines[at : at + 2 * len(level)], at + 2 * len(level)
        assert sorted(now) == sorted(f"{word} {step}" for step in level for word in ("start", "end"))
    assert at == len(lines)
    assert (script.parent / "record.store").read_text() == ODD_STORE
    manifest = json.loads((script.parent / "record.manifest").read_text())
    assert describe(load(manifest, library)) == describe(load(DOCUMENT, library))
    assert list((script.parent / "tmp").iterdir()) == []


def test_the_shell_script_ends_with_what_fails(script: Path) -> None:
    assert start(script, FAIL="right", JOBS="4").wait(timeout=60) == 7
    assert not any("both" in line for line in record(script))
    assert list((script.parent / "tmp").iterdir()) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_shell_script_is_interrupted(script: Path, number: int, status: int) -> None:
    (script.parent / "record.slow").touch()
    process = start(script, JOBS="2")
    deadline = time.monotonic() + 60
    while len(record(script)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.1)
    process.send_signal(number)
    assert process.wait(timeout=30) == status
    assert sorted(line.split()[0] for line in record(script)) == ["start", "start", "term", "term"]
    assert list((script.parent / "tmp").iterdir()) == []


def test_the_template_is_valid(plan) -> None:
    settings = PlannedSettings("{{name}}" * 40, resources=Resources(2, 3 << 20), architecture="aarch64")
    template = json.loads(write_plan("openjd", plan, DOCUMENT, settings)["template.json"])
    decode_job_template(template=template)
    by_name = {step["name"]: step for step in template["steps"]}
    assert [d["dependsOn"] for d in by_name["4-both"]["dependencies"]] == ["2-right", "3-we-ird-x-q-HOME-id"]
    assert by_name["1-base"]["hostRequirements"] == {
        "amounts": [
            {"name": "amount.worker.vcpu", "min": 2},
            {"name": "amount.worker.memory", "min": 3},
        ],
        "attributes": [
            {"name": "attr.worker.os.family", "anyOf": ["linux"]},
            {"name": "attr.worker.cpu.arch", "anyOf": ["arm64"]},
        ],
    }
    words = by_name["3-we-ird-x-q-HOME-id"]["script"]["actions"]["onRun"]["args"][-1]
    assert "{{" not in words
    shown = subprocess.run(
        ["sh", "-c", 'eval "set -- $1"; printf "%s\\n" "$@"', "sh", words], capture_output=True, text=True
    )
    assert shown.stdout.splitlines() == ["--pipeline", ODD]


def test_the_job_scripts(plan, tmp_path: Path) -> None:
    files = write_plan("slurm", plan, DOCUMENT, PlannedSettings(resources=Resources(2, 3 << 20)))
    assert len(files) == 8
    for name, text in files.items():
        if name.endswith(".sh"):
            subprocess.run(["sh", "-n"], input=text, text=True, check=True)
    lines = files["4-both.sh"].splitlines()
    assert lines[:6] == [
        "#!/bin/sh",
        "#SBATCH --job-name=4-both",
        "#SBATCH --output=4-both-%j.log",
        "#SBATCH --requeue",
        "#SBATCH --cpus-per-task=2",
        "#SBATCH --mem=3M",
    ]
    # What sbatch is called with; a job that cannot be submitted takes the others with it.
    (tmp_path / "bin").mkdir()
    for name, text in {
        "sbatch": 'echo "$*" >>log; [ "$FAIL" != "$4" ] || exit 3; wc -l <log',
        "scancel": 'echo "cancel $*" >>log',
    }.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "submit.sh").write_text(files["submit.sh"])
    environment = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    for fail, status in (("none", 0), ("4-both.sh", 3)):
        environment["FAIL"] = fail
        done = subprocess.run(["sh", tmp_path / "submit.sh"], env=environment, capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        log = (tmp_path / "log").read_text().splitlines()
        (tmp_path / "log").unlink()
        assert log[0] == "--parsable --kill-on-invalid-dep=yes 1-base.sh"
        assert log[3] == "--parsable --dependency=afterok:2:3 --kill-on-invalid-dep=yes 4-both.sh"
        assert log[-1].startswith("cancel 1 2 3" if status else "--parsable --dependency=afterok:4:1 ")


def test_forms() -> None:
    assert set(FORMS) == {"sh", "slurm", "openjd"}
    from osbuild_core.cli import plan_files

    assert set(plan_files.FORMS) == set(FORMS)
