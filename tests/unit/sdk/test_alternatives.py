from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("name", "programs", "provider"),
    [
        ("awk", {"mawk", "gawk", "awk.txt"}, "gawk"),
        ("awk", {"awk.txt"}, None),
        ("editor", {"nano", "vim.basic"}, "nano"),
        ("ld", {"ld.gold", "ld.bfd", "ldd"}, "ld.bfd"),
        ("lzcat", {"xzcat", "lzcat.old"}, "xzcat"),
        ("lzcat", {"lzcat.old"}, "lzcat.old"),
        ("iptables", {"iptables-apply", "iptables-legacy", "iptables-nft"}, "iptables-nft"),
        ("python3", {"python3.12", "python3.6", "python3.6m", "python3-config"}, "python3.6"),
        ("python3", {"python3-config"}, None),
        ("python", {"python-config", "python3"}, None),
        ("gone", {"other"}, None),
    ],
)
def test_what_stands_for_a_name(
    sdk: Callable[[str], Any], name: str, programs: set[str], provider: str | None
) -> None:
    assert sdk("util.alternatives").find_provider(name, programs) == provider
