"""Linux capabilities of a stage: the default set, what its module asks for, and what we hold ourselves.

bubblewrap that is asked for a capability which it cannot give keeps them all, in silence; so what goes
to it is always intersected with our own permitted set (capabilities(7)).
"""

from __future__ import annotations

import functools

DEFAULT = frozenset(
    {
        "CAP_AUDIT_WRITE",
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_IPC_LOCK",
        "CAP_LINUX_IMMUTABLE",
        "CAP_MAC_OVERRIDE",
        "CAP_MKNOD",
        "CAP_NET_BIND_SERVICE",
        "CAP_SETFCAP",
        "CAP_SETGID",
        "CAP_SETPCAP",
        "CAP_SETUID",
        "CAP_SYS_ADMIN",
        "CAP_SYS_CHROOT",
        "CAP_SYS_NICE",
        "CAP_SYS_RESOURCE",
    }
)
"""What osbuild gives every stage."""

NEEDED = {
    "CAP_MKNOD": "each sandbox gets device nodes of its own",
    "CAP_NET_ADMIN": "each sandbox gets a network of its own",
    "CAP_SYS_CHROOT": "each sandbox is in a mount namespace of its own",
}
"""What it takes to make a sandbox, besides CAP_SYS_ADMIN, and why."""

# Numbers of linux/capability.h, in order.
_NAMES = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
    SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE
    AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
    PERFMON BPF CHECKPOINT_RESTORE
""".split()


@functools.cache
def held() -> frozenset[str]:
    """Return the capabilities in the permitted and bounding sets of this process."""
    masks: dict[str, int] = {}
    with open("/proc/self/status") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name in ("CapPrm", "CapBnd"):
                masks[name] = int(value, 16)
    mask = masks["CapPrm"] & masks["CapBnd"]
    return frozenset(f"CAP_{name}" for number, name in enumerate(_NAMES) if mask >> number & 1)


IMMUTABLE = "CAP_LINUX_IMMUTABLE"
"""What it takes to make files immutable or append-only."""


def granted(asked: frozenset[str], withheld: frozenset[str] = frozenset()) -> frozenset[str]:
    """Return what a stage really gets whose module asks for ``asked`` and does without ``withheld``."""
    return (DEFAULT - withheld | asked) & held()
