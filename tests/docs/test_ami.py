"""The page on AMIs: its commands print what it says, on the emulator; it names every key of the configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from osbuild_core.exports.ami import config
from tests.docs.pages import ROOT, blocks_of
from tests.docs.shell import run_page
from tests.emulator.aws.client import Emulator

PAGE = ROOT / "docs" / "ami.md"


@pytest.mark.root
def test_commands_print_what_the_page_says(tmp_path: Path) -> None:
    with Emulator() as emulator:
        environment = emulator.environment("AKIAEMULATORTEST0001", "us-east-1")
        run_page(blocks_of(PAGE), tmp_path, {**environment, "XDG_STATE_HOME": str(tmp_path / "state")})


def test_every_key_is_on_it() -> None:
    text = PAGE.read_text()
    models = [
        model for model in vars(config).values() if isinstance(model, type) and issubclass(model, BaseModel)
    ]
    keys = {name for model in models for name in model.model_fields}
    assert len(keys) > 40
    assert [key for key in sorted(keys) if f"`{key}`" not in text and f".{key}`" not in text] == []


def test_policies_are_json() -> None:
    policies = [block for block in blocks_of(PAGE) if block.language == "json" and "Statement" in block.text]
    assert len(policies) == 3
    for policy in policies:
        for statement in json.loads(policy.text)["Statement"]:
            assert all(":" in action for action in statement["Action"])
