"""The words and numbers of composes, as ODCS clients know them (ODCS 0.9.2, common/types.py)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from types import MappingProxyType


class SourceType(IntEnum):
    """Where the packages of a compose come from. The name is what requests say."""

    tag = 1
    module = 2
    repo = 3
    pulp = 4
    raw_config = 5
    build = 6
    pungi_compose = 7


class State(IntEnum):
    """Where a compose is in its life. The name is ``state_name``."""

    wait = 0
    generating = 1
    done = 2
    removed = 3
    failed = 4


FLAGS = MappingProxyType(
    {
        "no_deps": 1,
        "no_inheritance": 2,
        "include_unpublished_pulp_repos": 4,
        "check_deps": 8,
        "include_done_modules": 16,
        "ignore_absent_pulp_repos": 32,
        "no_reuse": 64,
        "use_only_compatible_arch": 128,
        "no_label": 256,
    }
)
RESULTS = MappingProxyType({"repository": 1, "iso": 2, "ostree": 4, "boot.iso": 8})
MULTILIB = MappingProxyType({"none": 0, "runtime": 1, "devel": 2, "all": 4})


def number(names: Iterable[str], table: MappingProxyType[str, int]) -> int:
    """Return the names of one table as the number that is stored. Raises KeyError."""
    result = 0
    for name in names:
        result |= table[name]
    return result


def names(value: int, table: MappingProxyType[str, int]) -> tuple[str, ...]:
    """Return a stored number as names, in the order of the table."""
    return tuple(name for name, bit in table.items() if bit & value)
