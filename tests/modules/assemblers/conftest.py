from pathlib import Path

import pytest

from .harness import Assembly


@pytest.fixture
def assembly(tmp_path: Path) -> Assembly:
    return Assembly(tmp_path / "assembly")
