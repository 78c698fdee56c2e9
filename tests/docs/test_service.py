"""The page on the service: it names every setting, its example is one, and systemd takes its units."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from osbuild_core.server import settings
from tests.docs.pages import ROOT, blocks_of

PAGE = ROOT / "docs" / "service.md"


def test_every_setting_is_on_it() -> None:
    text = PAGE.read_text()
    models = [
        model
        for model in vars(settings).values()
        if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == settings.__name__
    ]
    names = {name for model in models for name in model.model_fields}
    assert len(names) > 50
    assert [name for name in sorted(names) if f"`{name}`" not in text and f"{name}." not in text] == []


def test_the_example_is_what_the_service_reads(tmp_path: Path) -> None:
    (block,) = [block for block in blocks_of(PAGE) if block.markers.get("file") == "server.toml"]
    file = tmp_path / "server.toml"
    file.write_text(block.text)
    read = settings.load_settings(file)
    assert read.oidc[0].audience == "osbuild-core"
    assert read.access.clients.groups["qa"].source_types == ["tag", "repo"]
    assert read.compose_settings().tags["nightly"].repos == ("https://packages.example.org/nightly/$arch",)


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    units = [block for block in blocks_of(PAGE) if block.markers.get("file", "").endswith(".service")]
    assert len(units) == 2
    for block in units:
        name = block.markers["file"].replace("@", "@1")
        program = str(Path(sys.executable).with_name("osbuild-core"))
        (tmp_path / name).write_text(block.text.replace("/usr/bin/osbuild-core", program))
    command = ["systemd-analyze", "verify", "--man=no", *(str(path) for path in sorted(tmp_path.iterdir()))]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("systemd is not installed")
    complaints = [
        line for line in done.stderr.splitlines() if str(tmp_path) in line or "osbuild-core" in line
    ]
    assert complaints == []


def test_the_containers_are_described(tmp_path: Path) -> None:
    (block,) = [block for block in blocks_of(PAGE) if block.markers.get("file") == "compose.yaml"]
    described = yaml.safe_load(block.text)
    assert described["services"]["worker"]["privileged"] is True
    assert "privileged" not in described["services"]["server"]
