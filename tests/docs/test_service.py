"""The page on the service: it names every setting, its example is one, and systemd takes its units."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from osbuild_core.server import settings
from osbuild_core.server.settings_file import load_settings
from tests.docs.pages import ROOT, blocks_of

PAGE = ROOT / "docs" / "service.md"
EXAMPLES = ROOT / "examples" / "service"


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
    read = load_settings(file)
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


def block_of(name: str) -> str:
    (block,) = [block for block in blocks_of(PAGE) if block.markers.get("file") == name]
    return block.text


def test_the_containers_are_described() -> None:
    described = yaml.safe_load(block_of("compose.yaml"))
    services = described["services"]
    assert services["worker"]["privileged"] is True
    assert "privileged" not in services["server"]
    for one in services.values():
        assert set(one.get("depends_on", {})) <= set(services)
        # Who is waited for has to be able to say that it is ready.
        for name in one.get("depends_on", {}):
            assert "healthcheck" in services[name]
        for volume in one["volumes"]:
            source = volume.partition(":")[0]
            assert source in described["volumes"] or block_of(source.removeprefix("./"))
        assert block_of(one["env_file"])
    assert set(described["volumes"]) == {
        volume.partition(":")[0] for one in services.values() for volume in one["volumes"]
    } - {"./server.toml"}
    # What it listens on, and where its data are, unless told otherwise.
    known = settings.ServerSettings.model_fields
    assert services["server"]["ports"] == [f"127.0.0.1:{known['port'].default}:{known['port'].default}"]
    assert f":{known['port'].default}/" in services["server"]["healthcheck"]["test"]
    for name in ("server", "worker"):
        assert f"composes:{known['data'].default}" in services[name]["volumes"]
    for name in ("server", "worker"):
        program, command, *arguments = services[name]["command"].split()
        assert program == "osbuild-core"
        here = str(Path(sys.executable).with_name(program))
        done = subprocess.run([here, command, "--help"], capture_output=True, text=True)
        options = [word for word in arguments if word.startswith("--")]
        assert [word for word in options if word not in done.stdout] == []


def test_variables_are_settings() -> None:
    text = PAGE.read_text() + "".join(path.read_text() for path in EXAMPLES.iterdir())
    named = set(re.findall(r"\bOSBUILD_CORE_([A-Z][A-Z0-9_]*)\b", text))
    # Of the command line, not of the service.
    named -= {"CONFIG", "SERVER", "TOKEN"}
    assert "DATABASE" in named
    for name in named:
        model: type[BaseModel] = settings.ServerSettings
        *parents, last = name.lower().split("__")
        for parent in parents:
            model = model.model_fields[parent].annotation  # type: ignore[assignment]
        assert last in model.model_fields, name


def test_the_secrets_are_what_the_service_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = dict(line.split("=", 1) for line in block_of("secrets.env").splitlines())
    monkeypatch.setenv("OSBUILD_CORE_DATABASE", lines["OSBUILD_CORE_DATABASE"])
    read = load_settings(None)
    assert read.database_url == lines["OSBUILD_CORE_DATABASE"]
    assert f":{lines['POSTGRES_PASSWORD']}@database/" in lines["OSBUILD_CORE_DATABASE"]


def test_the_backup_script_is_one(tmp_path: Path) -> None:
    script = tmp_path / "backup"
    script.write_text(block_of("backup"))
    assert subprocess.run(["sh", "-n", str(script)]).returncode == 0


def test_the_image_has_what_builds_need() -> None:
    text = (EXAMPLES / "Containerfile").read_text().replace("\\\n", " ")
    (installed,) = re.findall(r"apt-get install -y --no-install-recommends(.*?)&&", text)
    wanted = (ROOT / "setup" / "packages").read_text()

    def group(name: str) -> set[str]:
        return set(re.findall(rf"^{name}\) wanted=\((.*?)\)", wanted, re.DOTALL | re.MULTILINE)[0].split())

    assert group("python") <= set(installed.split())
    assert set(installed.split()) <= group("python") | group("tools") | group("tests")
    # What builds machines and boots them is left to who needs it.
    without = {"grub-common", "grub-pc-bin", "openssh-client", "passwd", "procps", "qemu-system-x86"}
    assert group("tools") - set(installed.split()) == without
    (extras,) = re.findall(r"/src\[(.*?)\]", text)
    with (ROOT / "pyproject.toml").open("rb") as file:
        known = tomllib.load(file)["project"]["optional-dependencies"]
    assert set(extras.split(",")) <= set(known)
    for source in re.findall(r"^COPY (\S+)", text, re.MULTILINE):
        assert (ROOT / source).exists()


def test_the_proxy_sets_the_headers_that_count() -> None:
    text = (EXAMPLES / "nginx.conf").read_text()
    assert text.count("{") == text.count("}")
    fields = settings.Certificates.model_fields
    for field in ("subject_header", "verify_header"):
        assert f"proxy_set_header {fields[field].default} $ssl_client_" in text
    assert settings.Limits().request_bytes == 4 << 20
    assert "client_max_body_size 4m;" in text
