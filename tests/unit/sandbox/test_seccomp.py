"""The filter of system calls, carried out here as the kernel does it; its numbers against the machine's headers."""

from __future__ import annotations

import platform
import re
import struct
from pathlib import Path

import pytest

from osbuild_core.sandbox import seccomp

ALLOWED, SUCCEEDED = 0x7FFF0000, 0x00050000
CALLS = ("sync", "fsync", "fdatasync", "syncfs", "sync_file_range")


def verdict(program: bytes, architecture: int, number: int) -> int:
    """Return what the filter makes of a call (linux/filter.h: LD|W|ABS, JMP|JEQ|K, RET|K)."""
    lines = list(struct.iter_unpack("=HBBI", program))
    data = struct.pack("=II", number, architecture)
    at = value = 0
    while True:
        code, yes, no, constant = lines[at]
        at += 1
        if code == 0x20:
            (value,) = struct.unpack_from("=I", data, constant)
        elif code == 0x15:
            at += yes if value == constant else no
        else:
            assert code == 0x06
            return constant


@pytest.mark.parametrize("machine", sorted(seccomp._MACHINES))
def test_only_what_waits_for_the_disk_is_left_out(machine):
    program = seccomp.assembled(machine)
    for calls in seccomp._MACHINES[machine]:
        free = set(calls[1:])
        assert len(free) == len(CALLS)
        for number in range(600):
            expected = SUCCEEDED if number in free else ALLOWED
            assert verdict(program, calls.architecture, number) == expected, number


def test_calls_of_an_architecture_that_is_not_known_pass():
    program = seccomp.assembled("x86_64")
    assert {verdict(program, 0x1234, number) for number in range(600)} == {ALLOWED}
    assert seccomp.assembled("vax") is None


HEADERS = [
    ("x86_64", 0, Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")),
    ("x86_64", 1, Path("/usr/include/x86_64-linux-gnu/asm/unistd_32.h")),
    ("aarch64", 0, Path("/usr/include/asm-generic/unistd.h")),
    ("riscv64", 0, Path("/usr/include/asm-generic/unistd.h")),
]


@pytest.mark.parametrize(("machine", "which", "header"), HEADERS)
def test_the_numbers_are_those_of_the_headers(machine, which, header):
    if not header.exists():
        pytest.skip("the package linux-libc-dev is not installed")
    found = dict(re.findall(r"#define __NR_(\w+)\s+(\d+)", header.read_text()))
    calls = seccomp._MACHINES[machine][which]
    assert {name: int(found[name]) for name in CALLS} == {name: getattr(calls, name) for name in CALLS}


def test_this_machine_has_one():
    if platform.machine() not in seccomp._MACHINES:
        pytest.skip(f"no filter is known for {platform.machine()}")
    assert seccomp.free_sync() == seccomp.assembled(platform.machine())
