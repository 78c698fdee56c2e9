"""org.osbuild.ami: its schema. What it does is tested with the emulator, in tests/integration/ami."""

from __future__ import annotations

import json
from pathlib import Path

from osbuild_core.exports.ami import config

ROOT = Path(__file__).resolve().parents[3]


def test_its_options_are_those_of_the_configuration() -> None:
    """The schema is kept by hand, for the sake of its texts; it may not miss a key or have one more."""
    schema = json.loads((ROOT / "exports/org.osbuild.ami.meta.json").read_text())["schema"]
    own = {"group", "profile", "publish"}
    assert set(schema["properties"]) - own == set(config.Configuration.model_fields)
    image = schema["properties"]["images"]["additionalProperties"]["properties"]
    assert set(image) == set(config.Image.model_fields)
    for name, model in {
        "s3": config.S3,
        "ebs": config.Ebs,
        "source": config.Source,
    }.items():
        assert set(schema["properties"][name]["properties"]) == set(model.model_fields)
    assert set(image["marketplace"]["properties"]) == set(config.Marketplace.model_fields)
    assert set(image["ssm_parameter"]["items"]["properties"]) == set(config.SsmParameter.model_fields)
