from pathlib import Path

import pytest

from .harness import apply, mode_of


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (False, "false")])
def test_the_file(tree: Path, value: bool, text: str) -> None:
    apply("wsl.conf", tree, {"boot": {"systemd": value}})
    assert (tree / "etc/wsl.conf").read_text() == f"[boot]\nsystemd={text}\n"
    assert mode_of(tree / "etc/wsl.conf") == 0o644
