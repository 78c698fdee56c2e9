from __future__ import annotations

import json
from pathlib import Path

import pytest

from .harness import run

DOCUMENT = {
    "version": "2",
    "pipelines": [
        {"name": "build", "stages": [{"type": "org.osbuild.noop", "options": {"n": 1}}]},
        {"name": "os", "build": "name:build", "stages": [{"type": "org.osbuild.noop", "options": {"n": 2}}]},
        {"name": "other", "stages": [{"type": "org.osbuild.noop", "options": {"n": 3}}]},
    ],
    "exports": {"test": {"type": "org.osbuild.job-script", "pipeline": "name:os", "options": {"as": "sh"}}},
}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(DOCUMENT))
    return path


@pytest.mark.parametrize(
    ("form", "files"),
    [
        ("sh", ["build.sh"]),
        ("slurm", ["1-build.sh", "2-os.sh", "manifest.json", "submit.sh"]),
        ("openjd", ["template.json"]),
    ],
)
def test_what_builds_the_pipeline_of_the_export(
    tmp_path: Path, manifest: Path, form: str, files: list[str]
) -> None:
    output = tmp_path / "out"
    done = run("job-script", tmp_path, {"as": form}, output, manifest=manifest)
    assert (done.error, done.data) == (None, {"path": str(output), "files": files})
    assert sorted(path.name for path in output.iterdir()) == files
    for path in output.iterdir():
        assert path.stat().st_mode & 0o777 == (0o755 if path.suffix == ".sh" else 0o644)
        assert "other" not in path.read_text() or form != "slurm" or path.name == "manifest.json"


def test_options(tmp_path: Path, manifest: Path) -> None:
    options = {
        "as": "openjd",
        "path": f"{tmp_path}/srv/jobs",
        "exports": ["other"],
        "name": "nightly",
        "program": "/opt/osbuild-core",
        "store": "/srv/store",
        "remote_cache": "file:///srv/cache",
        "cpus": 2,
        "memory": 3 << 20,
    }
    done = run("job-script", tmp_path, options, manifest=manifest)
    assert done.error is None
    template = json.loads((tmp_path / "srv/jobs/template.json").read_text())
    assert template["name"] == "nightly"
    assert [step["name"] for step in template["steps"]] == ["1-other", "2-exports"]
    defaults = {p["name"]: p.get("default") for p in template["parameterDefinitions"]}
    assert defaults == {
        "Program": "/opt/osbuild-core",
        "Store": "/srv/store",
        "RemoteCache": "file:///srv/cache",
        "OutputDirectory": None,
    }
    assert [a["min"] for a in template["steps"][0]["hostRequirements"]["amounts"]] == [2, 3]


def test_what_goes_wrong(tmp_path: Path, manifest: Path) -> None:
    nowhere = run("job-script", tmp_path, {"as": "sh"}, manifest=manifest)
    assert nowhere.error and "--output-directory" in str(nowhere.hint)
    unknown = run(
        "job-script", tmp_path, {"as": "sh", "exports": ["oter"]}, tmp_path / "o", manifest=manifest
    )
    assert unknown.place == ("exports",) and unknown.hint == "did you mean 'other'?"
    (tmp_path / "file").touch()
    blocked = run("job-script", tmp_path, {"as": "sh", "path": f"{tmp_path}/file/x"}, manifest=manifest)
    assert blocked.error and blocked.place == ("path",)
