"""Mounts by system call, each in a process with a mount namespace of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

SDK = Path(__file__).resolve().parents[3] / "osbuild_core" / "sdk"

pytestmark = pytest.mark.root


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "source/sub").mkdir(parents=True)
    (tmp_path / "source/file").write_text("content")
    return tmp_path


def run(script: str, place: Path) -> str:
    """Run a script that knows ``mnt``, ``os`` and the directory ``d``; return what it prints."""
    start = "import os, sys\nfrom osbuild.util import mnt\nd = sys.argv[1]\n"
    ended = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", start + script, place],
        env={"PYTHONPATH": str(SDK), "PATH": "/usr/sbin:/usr/bin"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_bind_mount_is_read_only_unless_told(place: Path) -> None:
    script = """
for ro in (True, False):
    mnt.mount(d + "/source", d + "/target", ro=ro)
    try:
        open(d + "/target/new", "w").close()
        print("written")
    except OSError as e:
        print(e.strerror)
    mnt.umount(d + "/target")
print(os.listdir(d + "/target"))
"""
    assert run(script, place) == "Read-only file system\nwritten\n[]\n"
    assert (place / "source/new").exists()


def test_a_file_can_be_bound(place: Path) -> None:
    script = """
mnt.mount(d + "/source/file", d + "/file")
print(open(d + "/file").read())
mnt.umount(d + "/file")
print(os.path.getsize(d + "/file"))
"""
    assert run(script, place) == "content\n0\n"


def test_what_is_mounted_below_goes_with_it(place: Path) -> None:
    script = """
mnt.mount_filesystem("none", d + "/source/sub", "tmpfs", ["size=1m", "nosuid", "ro", "defaults"])
mnt.mount(d + "/source", d + "/a b", ro=False)
print([os.path.relpath(p, d) for p in mnt.mounted_below(d + "/a b")])
mnt.umount_below(d + "/a b")
print(mnt.mounted_below(d + "/a b"), len(mnt.mounted_below(d + "/source")))
try:
    open(d + "/source/sub/x", "w")
except OSError as e:
    print(e.strerror)
"""
    assert run(script, place) == "['a b', 'a b/sub']\n[] 1\nRead-only file system\n"


def test_a_busy_mount_is_waited_for_and_then_an_error(place: Path) -> None:
    script = """
import threading
mnt.mount(d + "/source", d + "/target")
file = open(d + "/target/file")
try:
    mnt.umount(d + "/target", patience=0.05)
except OSError as e:
    print(e.strerror.startswith("cannot unmount"))
threading.Timer(0.1, file.close).start()
mnt.umount(d + "/target")
print(mnt.mounted_below(d + "/target"))
"""
    assert run(script, place) == "True\n[]\n"


def test_arguments_of_mount_are_understood(place: Path) -> None:
    script = """
mnt.mount_with_arguments("none", d + "/source/sub", ["-t", "tmpfs", "-o", "ro,size=1m"])
print(len(mnt.mounted_below(d + "/source/sub")))
mnt.umount(d + "/source/sub")
mnt.mount_with_arguments("none", d + "/source/sub", ["--types", "tmpfs"])
print(len(mnt.mounted_below(d + "/source/sub")))
mnt.umount(d + "/source/sub", lazy=True)
for arguments in (["-t", "ext4"], ["--types", "ext4"]):
    try:
        mnt.mount_with_arguments(d + "/source/file", d + "/source/sub", arguments)
    except OSError as e:
        print("cannot mount" in str(e))
"""
    assert run(script, place) == "1\n1\nTrue\nTrue\n"


def test_nothing_stays_mounted_after_an_error(place: Path) -> None:
    script = """
for arguments in ((d + "/missing", d + "/target"), (d + "/source", d + "/source/file")):
    try:
        mnt.mount(*arguments)
    except OSError as e:
        print(len(mnt.mounted_below(d)))
try:
    mnt.umount(d + "/source")
except OSError as e:
    print(e.errno)
"""
    assert run(script, place) == "0\n0\n22\n"


def test_a_guard_unmounts_what_it_has_mounted(place: Path) -> None:
    script = """
os.mkdir(d + "/target")
def writable():
    try:
        open(d + "/target/new", "w").close()
    except OSError as e:
        return e.strerror
    return "written"
with mnt.MountGuard() as guard:
    guard.mount(d + "/source", d + "/target", permissions=mnt.MountPermissions.READ_ONLY)
    print(writable())
    guard.mount(d + "/source", d + "/target", remount=True, permissions=mnt.MountPermissions.READ_WRITE)
    print(writable(), len(guard.mounts))
    guard.mount(d + "/source/sub", d + "/target/sub")
    mnt.mount_filesystem("tmpfs", d + "/target/sub", "tmpfs")
    for wrong in ("ro", True):
        try:
            guard.mount(d, d, permissions=wrong)
        except ValueError as e:
            print(e)
print(os.listdir(d + "/target"), mnt.mounted_below(d))
"""
    assert run(script, place).splitlines() == [
        "Read-only file system",
        "written 1",
        "not a MountPermissions: 'ro'",
        "not a MountPermissions: True",
        "[] []",
    ]


def test_a_guard_does_not_take_what_is_mounted_below(place: Path) -> None:
    script = """
os.mkdir(d + "/target")
mnt.mount_filesystem("tmpfs", d + "/source/sub", "tmpfs", ["nosuid", "nodev"])
open(d + "/source/sub/hidden", "w").close()
with mnt.MountGuard() as guard:
    guard.mount(d + "/source", d + "/target")
    print(os.listdir(d + "/target/sub"))
with mnt.MountGuard() as guard:
    guard.mount(d + "/source/sub", d + "/target", permissions=mnt.MountPermissions.READ_ONLY)
    print(os.listdir(d + "/target"), os.statvfs(d + "/target").f_flag & 7)
"""
    assert run(script, place) == "[]\n['hidden'] 7\n"


def test_unmounting_takes_along_what_is_mounted_below(place: Path) -> None:
    script = """
mnt.mount_filesystem("tmpfs", d + "/source/sub", "tmpfs")
os.mkdir(d + "/source/sub/deeper")
mnt.mount_filesystem("tmpfs", d + "/source/sub/deeper", "tmpfs")
mnt.mount(d + "/source", d + "/target")
print(len(mnt.mounted_below(d + "/target")))
mnt.umount(d + "/target")
print(len(mnt.mounted_below(d + "/target")), len(mnt.mounted_below(d + "/source")))
"""
    assert run(script, place) == "3\n0 2\n"
