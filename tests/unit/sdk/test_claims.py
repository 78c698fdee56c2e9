import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

ONE, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


def test_a_claim_excludes_others(tmp_path: Path, sdk: Callable[[str], Any]) -> None:
    kind = sdk("util.claims").Claims
    first, second = kind(str(tmp_path)), kind(str(tmp_path))
    assert first.take(ONE)
    assert not second.take(ONE)
    assert second.take(OTHER)
    first.give(ONE)
    assert second.take(ONE)
    # Closing any other descriptor of the file must not unlock anything.
    os.close(os.open(tmp_path / "lock", os.O_RDWR))
    assert not first.take(ONE)
    second.close()
    assert first.take(ONE) and first.take(OTHER)
    first.close()
