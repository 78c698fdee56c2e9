from pathlib import Path

import pytest

from .harness import apply, refuse

UUID = "9c6ae55b-cf88-45b8-84e8-64990759f39d"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ""),
        ({"root_fs_uuid": UUID}, f"root=UUID={UUID}"),
        ({"kernel_opts": "quiet console=ttyS0"}, "quiet console=ttyS0"),
        ({"root_fs_uuid": UUID, "kernel_opts": "ro"}, f"root=UUID={UUID} ro"),
        ({"kernel_opts": "x" * 256, "kernel_cmdline_size": 256}, "x" * 256),
    ],
)
def test_what_is_written(tree: Path, options: dict[str, object], expected: str) -> None:
    apply("kernel-cmdline", tree, options)
    assert (tree / "etc/kernel/cmdline").read_text() == expected


@pytest.mark.parametrize(
    "options", [{"kernel_opts": "x" * 257, "kernel_cmdline_size": 256}, {"kernel_opts": "x" * 5000}]
)
def test_a_line_that_is_too_long(tree: Path, options: dict[str, object]) -> None:
    assert "the limit is" in refuse("kernel-cmdline", tree, options)
    assert not (tree / "etc/kernel").exists()
