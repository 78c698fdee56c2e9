"""A filter of system calls under which fsync(2) and its like succeed and do nothing.

What a stage writes is brought to the disk with all the rest of the store, at the end. A package manager that waits
for the disk after every file makes that several times slower, and sync(2) is about the whole machine.
"""

from __future__ import annotations

import platform
import struct
from functools import cache
from typing import NamedTuple


class _Calls(NamedTuple):
    """The numbers of the calls that an architecture (linux/audit.h) has: see ``asm/unistd.h``."""

    architecture: int
    sync: int
    fsync: int
    fdatasync: int
    syncfs: int
    sync_file_range: int


_X86_64 = _Calls(0xC000003E, sync=162, fsync=74, fdatasync=75, syncfs=306, sync_file_range=277)
_I386 = _Calls(0x40000003, sync=36, fsync=118, fdatasync=148, syncfs=344, sync_file_range=314)
_AARCH64 = _Calls(0xC00000B7, sync=81, fsync=82, fdatasync=83, syncfs=267, sync_file_range=84)
_RISCV64 = _AARCH64._replace(architecture=0xC00000F3)
_PPC64LE = _Calls(0xC0000015, sync=36, fsync=118, fdatasync=148, syncfs=348, sync_file_range=308)
_S390X = _Calls(0x80000016, sync=36, fsync=118, fdatasync=148, syncfs=338, sync_file_range=307)

# Programs of the older ABI that the machine runs as well.
_MACHINES = {
    "x86_64": (_X86_64, _I386),
    "aarch64": (_AARCH64,),
    "riscv64": (_RISCV64,),
    "ppc64le": (_PPC64LE,),
    "s390x": (_S390X,),
}

# linux/bpf_common.h, linux/seccomp.h: load a word, skip unless equal, return.
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _ARCHITECTURE = 0, 4
_ALLOW = 0x7FFF0000
_SUCCEED = 0x00050000
"""SECCOMP_RET_ERRNO with the error 0."""


def free_sync() -> bytes | None:
    """Return the filter as bwrap(1) takes it; None on a machine or a kernel where there is none."""
    return assembled(platform.machine()) if _kernel_filters() else None


@cache
def _kernel_filters() -> bool:
    try:
        with open("/proc/sys/kernel/seccomp/actions_avail", encoding="ascii") as file:
            return "errno" in file.read().split()
    except OSError:
        return False


@cache
def assembled(machine: str) -> bytes | None:
    """Return the filter for a ``machine`` as uname(1) calls it: instructions of seccomp(2), one after the other."""
    if machine not in _MACHINES:
        return None
    program = [(_LOAD, 0, 0, _ARCHITECTURE)]
    for calls in _MACHINES[machine]:
        numbers = calls[1:]
        # Past this load, two lines for each call and what ends them.
        program += [(_EQUAL, 0, 2 * len(numbers) + 2, calls.architecture), (_LOAD, 0, 0, _NUMBER)]
        for number in numbers:
            program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _SUCCEED)]
        program.append((_RETURN, 0, 0, _ALLOW))
    program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *line) for line in program)
