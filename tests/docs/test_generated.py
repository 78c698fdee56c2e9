"""Pages that are written from the code are what the code says now, and can be read."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from osbuild_core.cli.commands import COMMANDS
from osbuild_core.cli.osbuild_arguments import parser
from tests.docs.pages import ROOT

MANUALS = ("osbuild-core.1", "osbuild.1")


def writer(name: str) -> ModuleType:
    """Return docs/NAME.py as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_modules_is_what_their_metadata_says() -> None:
    generate = writer("generate")
    assert generate.PAGE.read_text() == generate.page(), "run make docs"


@pytest.mark.parametrize("name", MANUALS)
def test_a_manual_page_is_what_the_command_line_says(name: str) -> None:
    manual = writer("manual")
    assert (manual.FOLDER / name).read_text() == manual.pages()[name], "run make docs"


def formatted(page: Path) -> str:
    """Return ``page`` as a terminal shows it. Skips where groff is missing; fails where it warns."""
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    command = ["groff", "-man", "-ww", "-Tutf8", "-P-cbou", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def words(text: str) -> str:
    """Return ``text`` in one line, without the hyphens of broken words."""
    return " ".join(re.sub("\u2010\n *", "", text).translate({0x2010: "-", 0x2212: "-"}).split())


def test_the_manual_of_osbuild_core_has_every_command_and_option() -> None:
    text = words(formatted(ROOT / "docs" / "man" / "osbuild-core.1"))
    manual = writer("manual")
    for names, command in manual.commands():
        assert " ".join(("osbuild-core", *names)) in text
        for param in command.params:
            for option in () if getattr(param, "hidden", False) else param.opts:
                assert not option.startswith("-") or option in text, (names, option)
    assert {names[0] for names, _ in manual.commands()} == set(COMMANDS)


def test_the_manual_of_osbuild_has_every_option() -> None:
    text = words(formatted(ROOT / "docs" / "man" / "osbuild.1"))
    for action in parser()._actions:
        for option in action.option_strings:
            assert option in text, option
