"""What holds for every module of the library, whatever its kind."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FACTS = ROOT.parent / "shared" / "interface" / "modules"
KINDS = ("stages", "inputs", "sources", "devices", "mounts", "assemblers", "exports")
PREFIX = "org.osbuild."

MODULES = sorted(
    path
    for kind in KINDS
    for path in (ROOT / kind).glob(f"{PREFIX}*")
    if not path.name.endswith(".meta.json") and path.is_file()
)
IN_BUILD_ROOTS = [path for path in MODULES if path.parent.name in ("stages", "assemblers")]
RUNNERS = sorted(path for path in (ROOT / "runners").glob(f"{PREFIX}*") if path.is_file())
META = sorted(path for kind in KINDS for path in (ROOT / kind).glob("*.meta.json"))


def place(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def load_meta(module: Path) -> dict[str, Any]:
    meta = json.loads(module.with_name(module.name + ".meta.json").read_text(encoding="utf-8"))
    assert isinstance(meta, dict)
    return meta


def is_python(path: Path) -> bool:
    return "python" in path.read_text(encoding="utf-8").partition("\n")[0]


@pytest.mark.parametrize("module", MODULES + RUNNERS, ids=place)
def test_it_can_be_run(module: Path) -> None:
    assert os.access(module, os.X_OK)
    assert module.read_bytes().startswith(b"#!/")


@pytest.mark.parametrize("module", MODULES, ids=place)
def test_it_says_what_it_does(module: Path) -> None:
    meta = load_meta(module)
    assert set(meta) <= {"summary", "description", "capabilities", "withheld", "schema", "schema_2"}
    assert meta["summary"].strip()
    assert "\n" not in meta["summary"]
    assert meta["description"]
    assert "schema" in meta or "schema_2" in meta


@pytest.mark.parametrize("meta", META, ids=place)
def test_there_is_no_metadata_without_a_module(meta: Path) -> None:
    assert meta.with_name(meta.name.removesuffix(".meta.json")) in MODULES


def options_of(schema: object, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the options that ``schema`` declares, with their schemas."""
    if not isinstance(schema, dict):
        return
    for name, option in schema.get("properties", {}).items():
        # A choice may repeat an option only to narrow it.
        if isinstance(option, dict):
            yield f"{path}.{name}", option
            yield from options_of(option, f"{path}.{name}")
    for option in schema.get("patternProperties", {}).values():
        yield from options_of(option, f"{path}.*")
    yield from options_of(schema.get("items"), f"{path}[]")


@pytest.mark.parametrize("module", IN_BUILD_ROOTS, ids=place)
def test_every_option_of_a_stage_is_described(module: Path) -> None:
    meta = load_meta(module)
    declared = [meta.get("schema"), meta.get("schema_2", {}).get("options")]
    mute = [
        path for schema in declared for path, option in options_of(schema) if not option.get("description")
    ]
    assert mute == []


@pytest.mark.parametrize("module", MODULES, ids=place)
def test_it_has_a_test(module: Path) -> None:
    folder = ROOT / "tests" / "modules" / module.parent.name
    short = module.name.removeprefix(PREFIX)
    own = folder / f"test_{short.replace('.', '_').replace('-', '_')}.py"
    named = (module.name in path.read_text(encoding="utf-8") for path in folder.glob("test_*.py"))
    assert own.is_file() or any(named)


@pytest.mark.parametrize(
    "sources",
    [
        [path for path in IN_BUILD_ROOTS if is_python(path)],
        [path for path in RUNNERS if is_python(path)],
        sorted((ROOT / "osbuild_core" / "sdk" / "osbuild").rglob("*.py")),
    ],
    ids=["stages", "runners", "sdk"],
)
def test_what_runs_in_a_build_root_runs_on_python_3_6(sources: list[Path]) -> None:
    if not sources:
        pytest.skip("none of them is written in Python")
    vermin = shutil.which("vermin", path=str(Path(sys.executable).parent)) or shutil.which("vermin")
    assert vermin is not None, "vermin is not installed"
    command = [vermin, "--target=3.6-", "--no-tips", "--violations", *map(str, sources)]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert result.returncode == 0, result.stdout


def without_descriptions(schema: object) -> object:
    """Return ``schema`` without its texts; an option that is called description stays."""
    if isinstance(schema, list):
        return [without_descriptions(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    texts = ("description", "descriptions", "title", "examples")
    return {
        key: without_descriptions(value)
        for key, value in schema.items()
        if not (key in texts and isinstance(value, str | list))
    }


@pytest.mark.skipif(not FACTS.is_dir(), reason="the interface facts are not beside this checkout")
@pytest.mark.parametrize("module", MODULES, ids=place)
def test_the_options_are_those_of_published_manifests(module: Path) -> None:
    facts_file = FACTS / module.parent.name / f"{module.name}.json"
    if not facts_file.is_file():
        pytest.skip(f"{module.name} is a module of our own")
    facts = json.loads(facts_file.read_text(encoding="utf-8"))
    meta = load_meta(module)
    for key in ("schema", "schema_2", "capabilities"):
        assert without_descriptions(meta.get(key)) == without_descriptions(facts.get(key)), key
