"""What the page on the service says about running it: backups come back, files that are lost are made again."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.docs.pages import blocks_of
from tests.emulator import postgresql
from tests.integration.server.running import (
    ROOT,
    Service,
    address,
    ended,
    service,
    settings_file,
    started,
    until,
)

EXAMPLES = ROOT / "examples" / "service"
PAGE = ROOT / "docs" / "service.md"


@pytest.mark.soak
def test_a_backup_that_is_taken_while_it_runs(running: Service, tmp_path: Path) -> None:
    copy = tmp_path / "data"
    copy.mkdir()
    made = running.wait(running.create("kept")["id"])
    # The database first: what is in it has its files.
    with (
        closing(sqlite3.connect(running.data / "server.sqlite")) as source,
        closing(sqlite3.connect(copy / "server.sqlite")) as target,
    ):
        source.backup(target)
    running.wait(running.create("later")["id"])
    shutil.copytree(running.data / "composes", copy / "composes")
    with service(tmp_path) as restored:
        check_restored(restored, made)


@pytest.mark.soak
def test_a_backup_of_postgresql(tmp_path: Path) -> None:
    try:
        with postgresql.running() as url:
            settings = {"database": url}
            with service(tmp_path, settings, "--migrate") as running:
                made = running.wait(running.create("kept")["id"])
            database = url.replace("+asyncpg", "")
            programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
            copy = tmp_path / "copy"
            copy.mkdir()
            dump = copy / "database"
            (script,) = [one for one in blocks_of(PAGE) if one.markers.get("file") == "backup"]
            text = script.text.replace("/var/lib/osbuild-core", str(tmp_path / "data"))
            environment = {
                **os.environ,
                "OSBUILD_CORE_DATABASE": database,
                "PATH": f"{programs}:{os.environ['PATH']}",
            }
            subprocess.run(["sh", "-c", text, "backup", str(copy)], env=environment, check=True)
            # What builds export, and manifests, are not for other users.
            assert (dump.stat().st_mode | (copy / "builds").stat().st_mode) & 0o077 == 0
            shutil.rmtree(tmp_path / "data/composes")
            shutil.copytree(copy / "composes", tmp_path / "data/composes")
            postgresql.query(url, "DELETE FROM composes")
            command = [
                str(programs / "pg_restore"),
                "--clean",
                "--if-exists",
                f"--dbname={database}",
                str(dump),
            ]
            subprocess.run(command, check=True)
            with service(tmp_path, settings) as restored:
                check_restored(restored, made)
    except postgresql.UnavailableError as error:
        pytest.skip(str(error))


def check_restored(restored: Service, made: dict[str, Any]) -> None:
    """Check that a compose is there, and that the service goes on after it."""
    assert restored.compose(made["id"])["state_name"] == "done"
    path = made["result_repofile"].partition("/composes/")[2]
    assert restored.get(f"/composes/{path}").status_code == 200
    # What the backup does not know is made anew, under the number that comes next.
    assert restored.wait(restored.create("later")["id"])["id"] == made["id"] + 1
    assert restored.wait(restored.create("kept")["id"])["id"] == made["id"] + 2


def test_lost_files_are_made_again(running: Service) -> None:
    source = {"type": "repo", "source": "http://packages.test/lost", "packages": ["ed"]}
    first = running.wait(running.post("/api/1/composes/", {"source": source}).json()["id"])
    directory = running.data / "composes" / f"odcs-{first['id']}"
    shutil.rmtree(directory)
    assert running.delete(f"/api/1/composes/{first['id']}").status_code == 202
    running.wait(first["id"], "removed")
    again = running.patch(f"/api/1/composes/{first['id']}", {}).json()
    assert again["id"] > first["id"]
    done = running.wait(again["id"])
    assert done["state_name"] == "done"
    assert done["pungi_config_dump"] == first["pungi_config_dump"]
    assert (running.data / "composes" / f"odcs-{again['id']}").is_dir()


def test_alerts_look_at_figures_that_there_are(running: Service) -> None:
    described = yaml.safe_load((EXAMPLES / "alerts.yaml").read_text())
    rules = [rule for group in described["groups"] for rule in group["rules"]]
    assert len(rules) >= 4
    running.wait(running.create("counted")["id"])
    text = until(lambda: running.get("/metrics").text, lambda text: "workers_total 1.0" in text)
    served = set(re.findall(r"^# TYPE ([a-z_]+)", text, re.MULTILINE))
    # What Prometheus itself knows of a target, and the parts of a histogram.
    served |= {"up", "http_request_seconds_bucket"}
    for rule in rules:
        expression = re.sub(r"\bby \([a-z_]+\)", "", rule["expr"]) + " "
        named = set(re.findall(r"\b([a-z]+(?:_[a-z]+)+|up)\b(?=[{\[ )])", expression))
        named -= {"histogram_quantile"}
        assert named, rule
        assert named <= served, rule
        for name, label in re.findall(r"([a-z_]+)\{([a-z_]+)=", rule["expr"]):
            assert name == "up" or re.search(rf"^{name}\{{[^}}]*\b{label}=", text, re.MULTILINE), rule
        assert rule["annotations"]["summary"]


def test_systemd_is_told_when_it_answers(tmp_path: Path) -> None:
    """As ``Type=notify`` of the unit has it (sd_notify(3))."""
    settings_file(tmp_path, {"data": str(tmp_path / "data"), "worker": False})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(60)
        manager.bind(str(tmp_path / "notify"))
        process = started(tmp_path, "--port", "0", environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        try:
            assert manager.recv(100) == b"READY=1"
            assert requests.get(f"{address(process, tmp_path)}/ready", timeout=60).status_code == 200
        finally:
            assert ended(process) == 0
