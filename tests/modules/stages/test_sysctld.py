import shutil
import subprocess
from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse

CONFIG = [
    {"key": "net.ipv4.conf.*.rp_filter", "value": "2"},
    {"key": "-net.ipv4.conf.all.rp_filter"},
    {"key": "-kernel.nonsense", "value": "1"},
    {"key": "net.ipv4.ip_local_port_range", "value": "1024 65535"},
]


def options(*config: dict[str, str]) -> dict[str, object]:
    return {"filename": "10-x.conf", "config": list(config)}


def test_the_file(tree: Path) -> None:
    apply("sysctld", tree, options(*CONFIG))
    path = tree / "usr/lib/sysctl.d/10-x.conf"
    assert path.read_text() == (
        "net.ipv4.conf.*.rp_filter = 2\n"
        "-net.ipv4.conf.all.rp_filter\n"
        "-kernel.nonsense = 1\n"
        "net.ipv4.ip_local_port_range = 1024 65535\n"
    )
    assert mode_of(path) == 0o644


@pytest.mark.skipif(shutil.which("sysctl") is None, reason="sysctl is not installed")
def test_sysctl_understands_it(tree: Path) -> None:
    apply("sysctld", tree, options({"key": "kernel.hostname", "value": "a b"}))
    path = tree / "usr/lib/sysctl.d/10-x.conf"
    command = ["sysctl", "--dry-run", "--load", str(path)]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert result.stdout == "kernel.hostname = a b\n"


@pytest.mark.parametrize(
    "parameter",
    [
        {"key": "a", "value": "1\nkernel.sysrq = 1"},
        {"key": "a\nkernel.sysrq", "value": "1"},
        {"key": "a = 1", "value": "1"},
        {"key": "a=1", "value": "1"},
        {"key": "#a", "value": "1"},
    ],
)
def test_a_parameter_cannot_be_two(tree: Path, parameter: dict[str, str]) -> None:
    refuse("sysctld", tree, options(parameter))
    assert list(tree.iterdir()) == []
