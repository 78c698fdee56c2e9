import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from standin import StandIns

SDK = Path(__file__).resolve().parents[3] / "osbuild_core" / "sdk"


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Imports a part of the SDK as modules do: ``sdk("util.path")``."""
    monkeypatch.syspath_prepend(str(SDK))
    return lambda name: importlib.import_module(f"osbuild.{name}")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    """Programs that stand in for others."""
    return StandIns(tmp_path / "programs", monkeypatch)
