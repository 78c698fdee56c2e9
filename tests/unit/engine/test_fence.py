"""A fence lets the attempt through that its file names, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from osbuild_core.engine.fence import Fence, parse_fence
from osbuild_core.model.errors import Cancelled, UsageError


def test_the_attempt_that_is_named_goes_on(tmp_path: Path) -> None:
    fence = parse_fence(f"{tmp_path}/with:colon:7")
    assert fence == Fence(tmp_path / "with:colon", "7")
    for text, current in (("7", True), ("7\n", True), ("8", False), ("77", False), ("", False)):
        fence.path.write_text(text)
        if current:
            fence.check()
            continue
        with pytest.raises(Cancelled) as caught:
            fence.check()
        assert caught.value.code == "fence.superseded"
    fence.path.unlink()
    with pytest.raises(Cancelled):
        fence.check()


@pytest.mark.parametrize("text", ["", "file", "file:", ":token", "file: "])
def test_what_is_no_fence_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_fence(text)
    assert caught.value.code == "usage.fence"
