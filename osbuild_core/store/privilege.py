"""What this process may do to a file system, beyond what modes and owners say."""

from __future__ import annotations

import os

_SYS_ADMIN = 21
"""Number of CAP_SYS_ADMIN (linux/capability.h)."""


def is_real_root() -> bool:
    """Tell whether we are root of the machine, and not of a user namespace only."""
    with open("/proc/self/uid_map", encoding="ascii") as uids:
        return os.geteuid() == 0 and uids.read().split() == ["0", "0", str(2**32 - 1)]


def sees_trusted() -> bool:
    """Tell whether ``trusted`` attributes show; for others files look as if they had none (xattr(7))."""
    if not is_real_root():
        return False
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        effective = next(line for line in file if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> _SYS_ADMIN & 1)
