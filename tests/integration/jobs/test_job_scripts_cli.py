"""``osbuild-core job render|submit|status|logs|cancel``: from a folder to a job on a real Slurm, and its end."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("slurm")]

COMMAND = [str(Path(sys.executable).with_name("osbuild-core")), "job"]
SCRIPT = """#!/bin/bash
#SBATCH --comment=of-the-script
  #SBATCH --output=%x.log
echo "{{ greeting }} {{ data.nodes }} $1"
cat input.txt
exit {{ status }}
"""
CONFIG = """
name: hello
entrypoint: job.sh.j2
files: [input.txt.j2]
variables: {status: 0}
sbatch: ["--comment={{ greeting }}"]
questions:
  - {name: greeting, message: What to say?}
  - {name: nodes, type: integer, min: 1, max: 4, default: 2}
  - {name: queue, type: list, choices: [ci, other], default: ci}
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that all users get to, with a template in ``template``."""
    with tempfile.TemporaryDirectory(prefix="scripts-") as name:
        path = Path(name)
        path.chmod(0o755)
        template = path / "template"
        template.mkdir()
        (template / "job-script.yaml").write_text(CONFIG)
        (template / "job.sh.j2").write_text(SCRIPT)
        (template / "input.txt.j2").write_text("for {{ queue }}\n")
        yield path


def call(place: Path, *argv: str, status: int = 0, **environment: str) -> str:
    done = subprocess.run(
        [*COMMAND, *argv],
        cwd=place,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == status, (argv, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout if status in (0, 3, 4, 5) else done.stderr


def error(place: Path, *argv: str, **environment: str) -> str:
    """Return the only line on standard error of a command that is to fail."""
    (line,) = call(place, *argv, status=1, **environment).splitlines()
    assert line.startswith("error: ")
    return line


GREETING = ("-D", "greeting=hi")


def test_from_a_folder_to_the_end_of_a_job(slurm: Cluster, place: Path) -> None:
    printed = call(place, "submit", "template", "one two", *GREETING, "-o", "out", "--follow")
    lines = printed.splitlines()
    assert lines[0].startswith("Submitted job ")
    assert lines[0].endswith(": out/job.sh")
    assert lines[-1].endswith(": done")
    assert call(place, "logs", "out/job.sh") == "hi 2 one two\nfor ci\n"
    assert (place / "out/hello.log").exists()
    (job,) = json.loads(call(place, "status", "out", "--json"))["jobs"]
    assert (job["state"], job["exit_code"], job["slurm_state"]) == ("done", 0, "COMPLETED")
    # Parameters that are added win over the script's.
    assert " Comment=hi " in slurm.run("scontrol", "show", "job", job["job"], "-o")
    # What slurmctld forgets, the record and the completion log still know.
    slurm.stop_controller()
    slurm.start_controller(forget=True)
    (job,) = json.loads(call(place, "status", "out", "--json"))["jobs"]
    assert (job["state"], job["source"]) == ("done", "completion log")
    assert call(place, "logs", "out") == "hi 2 one two\nfor ci\n"
    assert call(place, "cancel", "out").endswith(": done\n")
    assert "nobody knows of job 4000000" in error(place, "status", "4000000")


def test_jobs_that_fail_and_jobs_that_are_cancelled(slurm: Cluster, place: Path) -> None:
    rendered = json.loads(
        call(place, "render", "template", *GREETING, "-D", "status=3", "-o", "bad", "--json")
    )
    assert rendered["files"] == ["bad/job.sh", "bad/input.txt"]
    bad = json.loads(call(place, "submit", "bad/job.sh", "--json"))["job"]
    (place / "long.sh").write_text(
        "#!/bin/sh\n#SBATCH -o long-%A_%a.txt\necho task $SLURM_ARRAY_TASK_ID\nsleep 600\n"
    )
    call(place, "submit", "long.sh", "--array", "1-2")
    late = json.loads(call(place, "submit", "long.sh", "--json", "-d", f"afterok:{bad}"))["job"]

    assert f"{bad}: failed: exit status 3" in call(
        place, "status", bad, "--follow", "--interval=0.1", status=3
    )
    assert f"{late}: cancelled" in call(place, "status", "long.sh", "--follow", "--interval=0.1", status=4)

    (place / "long.sh.jobs.json").write_text(
        json.dumps(
            {
                "version": 1,
                "submissions": json.loads((place / "long.sh.jobs.json").read_text())["submissions"][:1],
            }
        )
    )
    end = time.monotonic() + 60
    while call(place, "status", "long.sh", status=5).count("running") < 3:
        assert time.monotonic() < end
    while call(place, "logs", "long.sh", "--task=2") != "task 2\n":
        assert time.monotonic() < end
    assert call(place, "logs", "long.sh").splitlines()[::2] == ["task 1", "task 2"]
    assert call(place, "cancel", "long.sh").startswith("Cancelled job ")
    assert "cancelled" in call(place, "status", "long.sh", "--follow", "--interval=0.1", status=4)


def test_logs_are_followed(slurm: Cluster, place: Path) -> None:
    (place / "slow.sh").write_text(
        "#!/bin/sh\necho begin\nwhile [ ! -e go ]; do sleep 0.05; done\necho end\n"
    )
    call(place, "submit", "slow.sh")
    process = subprocess.Popen(
        [*COMMAND, "logs", "slow.sh", "--follow"], cwd=place, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "begin\n"
        (place / "go").touch()
        assert process.stdout.read() == "end\n"
    assert process.returncode == 0


def test_an_interrupted_submission_leaves_no_job(slurm: Cluster, place: Path) -> None:
    (place / "bin").mkdir()
    wrapper = place / "bin/sbatch"
    wrapper.write_text(
        f'#!/bin/sh\n{shutil.which("sbatch")} "$@" || exit\ntouch {place}/submitted\nsleep 1\n'
    )
    wrapper.chmod(0o755)
    (place / "interrupted.sh").write_text("#!/bin/sh\nsleep 600\n")
    environment = {**os.environ, "PATH": f"{place}/bin:{os.environ['PATH']}"}
    process = subprocess.Popen(
        [*COMMAND, "submit", "interrupted.sh"], cwd=place, env=environment, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 60
    while not (place / "submitted").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == "Aborted\n"
    assert process.returncode == 130
    (state,) = set(slurm.run("squeue", "-h", "-t", "all", "-n", "interrupted.sh", "-o", "%T").split())
    assert state in ("CANCELLED", "COMPLETING")
    assert not (place / "interrupted.sh.jobs.json").exists()


def test_as_another_user(slurm: Cluster, place: Path) -> None:
    call(place, "submit", "template", *GREETING, "-o", "theirs", "--user", "nobody", "--follow")
    assert {path.stat().st_uid for path in (place / "theirs").iterdir()} == {65534}
    assert call(place, "logs", "theirs") == "hi 2 \nfor ci\n"
    call(place, "render", "template", *GREETING, "-o", "mine")
    assert "nobody may not write to" in error(place, "submit", "mine/job.sh", "--user", "nobody")
    job = json.loads(call(place, "submit", "mine/job.sh", "--json", "--sbatch=--hold"))["job"]
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *COMMAND, "cancel", job]
    # The interpreter has to be one that this user gets to.
    done = subprocess.run(
        argv, cwd="/", env={**os.environ, "XDG_CACHE_HOME": "/nonexistent"}, capture_output=True, text=True
    )
    if "ermission denied" in done.stderr and "scancel" not in done.stderr:
        pytest.skip("the interpreter of the tests is not for other users")
    assert (done.returncode, done.stderr.startswith("error: scancel: ")) == (1, True), done.stderr
    assert "denied" in done.stderr


def test_without_jinja2(place: Path) -> None:
    (place / "jinja2.py").write_text("raise ImportError")
    assert "pip install 'osbuild-core[jobs]'" in error(
        place, "render", "template", *GREETING, PYTHONPATH=str(place)
    )


def test_questions_on_a_terminal(place: Path) -> None:
    primary, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "render", "template", "-o", "asked"],
        cwd=place,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(terminal)
    os.write(primary, b"\nhello there\n9\n3\n2\n")
    printed, said = process.communicate(timeout=60)
    os.close(primary)
    assert (process.returncode, printed) == (0, "asked/job.sh\nasked/input.txt\n"), said
    assert "an answer is wanted" in said
    assert "9 is more than 4" in said
    assert "  2) other" in said
    script = (place / "asked/job.sh").read_text()
    assert 'echo "hello there 3 $1"' in script
    assert "\n#SBATCH --output=%x.log\n" in script
    assert "\n#SBATCH --comment=hello there\n" in script
    assert (place / "asked/input.txt").read_text() == "for other\n"


def test_what_is_refused_is_said_in_a_line(slurm: Cluster, place: Path) -> None:
    assert "greeting has no answer: What to say?" in error(place, "render", "template")
    assert "did you mean 'nodes'" in error(place, "render", "template", *GREETING, "-D", "node=1")
    assert "5 is more than 4" in error(place, "render", "template", *GREETING, "-D", "nodes=5")
    assert "there is no job-script.yaml" in error(place, "render", ".")
    assert "invalid partition specified: nope (there are: ci)" in error(
        place, "submit", "template", *GREETING, "-o", "x", "-p", "nope"
    )
    assert "nothing is known of a job" in error(place, "status", "x/job.sh")
    assert "is there already" in error(place, "submit", "template", "-D", "greeting=other", "-o", "x")
    assert "is no dependency" in error(place, "submit", "x/job.sh", "-d", "when:1")
    assert "is no array" in error(place, "submit", "x/job.sh", "--array=a")
    assert "is no parameter of sbatch" in error(place, "submit", "x/job.sh", "-S", "time=1")
    assert "values are for a folder" in error(place, "submit", "x/job.sh", *GREETING)
    assert "there is no user" in error(place, "submit", "x/job.sh", "--user", "no-such-user")
    (place / "template/job.sh.j2").write_text("#!/bin/sh\n\necho {{ greting }}\n")
    line = error(place, "render", "template", *GREETING, "-o", "y")
    assert "job.sh.j2:3: 'greting' is undefined (did you mean 'greeting'?)" in line
    assert not (place / "y").exists()
    document = json.loads(
        subprocess.run(
            [*COMMAND, "render", "template", *GREETING, "--json"], cwd=place, capture_output=True, text=True
        ).stdout
    )
    assert [one["code"] for one in document["errors"]] == ["script.undefined"]


def test_a_machine_without_slurm_and_a_cluster_that_is_down(slurm: Cluster, place: Path) -> None:
    empty = place / "bin"
    empty.mkdir()
    assert "there is no scontrol here (install the package slurm-client" in error(
        place, "submit", "template", *GREETING, "-o", "x", PATH=str(empty)
    )
    assert not (place / "x").exists()
    for name in ("scontrol", "bash"):
        (empty / name).symlink_to(shutil.which(name) or "")
    call(place, "render", "template", *GREETING, "-o", "x", PATH=str(empty))
    assert "there is no sbatch here" in error(place, "submit", "x/job.sh", PATH=str(empty))
    assert "is what SLURM_CONF says" in error(
        place, "submit", "x/job.sh", SLURM_CONF="/nonexistent/slurm.conf"
    )

    lines = slurm.places.config.read_text().splitlines()
    config = place / "slurm.conf"
    config.write_text(
        "\n".join(
            [
                *(one for one in lines if not one.startswith("SlurmctldPort")),
                "SlurmctldPort=1",
                "MessageTimeout=1",
                "",
            ]
        )
    )
    for argv in (
        ("submit", "template", *GREETING, "-o", "z"),
        ("submit", "x/job.sh"),
        ("status", "1"),
        ("cancel", "1"),
    ):
        assert "does `scontrol ping` say that slurmctld is UP?" in error(place, *argv, SLURM_CONF=str(config))
    assert not (place / "z").exists()
