from pathlib import Path

import pytest


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An empty tree."""
    path = tmp_path / "tree"
    path.mkdir()
    path.chmod(0o755)
    return path
