"""What osbuild prints for a manifest with --inspect is what we print."""

from __future__ import annotations

from pathlib import Path

import pytest

from osbuild_core import formats
from osbuild_core.model.errors import ManifestError

CONFORMANCE = sorted(
    file.name for file in (Path(__file__).parents[2] / "data" / "conformance").glob("*.json")
)
GOOD = [name for name in CONFORMANCE if not name.startswith("bad-")]
BAD = [name for name in CONFORMANCE if name.startswith("bad-")]


def test_the_data_is_there():
    assert len(GOOD) >= 13
    assert len(BAD) >= 4


@pytest.mark.parametrize("name", GOOD)
def test_ids_and_description(name, conformance, library):
    case = conformance(name)
    manifest = formats.load(case["manifest"], library, strict=True)
    assert formats.describe(manifest) == case["inspect"]


@pytest.mark.parametrize("name", GOOD)
def test_a_complete_description_loads_to_the_same_ids(name, conformance, library):
    manifest = formats.load(conformance(name)["manifest"], library)
    again = formats.load(formats.describe(manifest, complete=True, ids=False), library)
    assert again == manifest


@pytest.mark.parametrize("name", BAD)
def test_refusal(name, conformance, library):
    case = conformance(name)
    with pytest.raises(ManifestError) as caught:
        formats.load(case["manifest"], library, strict=True)
    assert formats.validation_report(caught.value) == case["inspect"]
    assert case["exit"] == 2
