"""Sizes, manifests as files, errors as JSON."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from osbuild_core.cli.commands import COMMANDS, group
from osbuild_core.cli.documents import read_manifest
from osbuild_core.cli.sizes import parse_size
from osbuild_core.model.errors import ManifestError, OsbuildError, UsageError


@pytest.mark.parametrize(
    ("text", "size"),
    [("1024", 1024), ("5B", 5), ("2kB", 2000), ("20GiB", 20 << 30), ("1 MB", 10**6), ("unlimited", None)],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "1.5GB", "5 Gb", "5 GB GB", "0x10"])
def test_what_is_no_size(text):
    with pytest.raises(UsageError) as caught:
        parse_size(text)
    assert caught.value.code == "usage.size"


@pytest.mark.parametrize(
    ("data", "kind", "code"),
    [
        (b"\xff\xfe{", ManifestError, "manifest.json"),
        (b"{", ManifestError, "manifest.json"),
        (b"", ManifestError, "manifest.json"),
        (b"[" * 100_000, ManifestError, "manifest.json"),
        (None, UsageError, "usage.manifest"),
    ],
)
def test_a_file_that_is_no_manifest(tmp_path, data, kind, code):
    path = tmp_path / "manifest.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(kind) as caught:
        read_manifest(str(path))
    assert caught.value.code == code
    assert str(path) in caught.value.detail


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ('{"a": 1,\n }', "a comma after the last item: line 2 column 2", "take it out"),
        ("[1,]", "a comma after the last item: line 1 column 4", "take it out"),
        ('{"a":,}', "Expecting value", "a manifest is one JSON object, and nothing else"),
        ('{"a": [', "it ends too early: line 1 column 8", "is it whole, and is each bracket closed?"),
        ('{"a" 1}', "Expecting ':' delimiter", "a manifest is one JSON object, and nothing else"),
        ('{"a": 1} x', "Extra data", "a manifest is one JSON object, and nothing else"),
    ],
)
def test_what_is_not_json(tmp_path, text, says, hint):
    path = tmp_path / "manifest.json"
    path.write_text(text)
    with pytest.raises(ManifestError) as caught:
        read_manifest(str(path))
    assert says in caught.value.detail
    assert caught.value.hint == hint


def test_a_template_is_recognised(tmp_path):
    path = tmp_path / "os.yaml"
    path.write_text("pipelines: []\n")
    with pytest.raises(ManifestError) as caught:
        read_manifest(str(path))
    assert f"osbuild-core resolve {path}" in caught.value.issues[0].hint


@pytest.mark.parametrize("command", ["plan", "build"])
def test_with_json_an_error_is_json_too(tmp_path, command):
    missing = str(tmp_path / "no.json")
    result = CliRunner().invoke(group, [command, "--json", "--store", str(tmp_path / "store"), missing])
    assert isinstance(result.exception, OsbuildError)
    assert json.loads(result.stdout)["errors"][0]["code"] == "usage.manifest"
    assert CliRunner().invoke(group, [command, missing]).stdout == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    result = CliRunner().invoke(group, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output
