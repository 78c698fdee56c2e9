"""Programs of a tree, in a process with a mount namespace of its own; the tree has this machine's /usr."""

import subprocess
import sys
from pathlib import Path

import pytest

SDK = Path(__file__).resolve().parents[3] / "osbuild_core" / "sdk"

pytestmark = pytest.mark.root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "usr").mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (tree / name).symlink_to(f"usr/{name}")
    return tree


def run(script: str, tree: Path) -> str:
    """Run a script that knows ``Chroot``, ``mnt``, ``os`` and ``tree``; return what it prints."""
    start = (
        "import os, subprocess, sys\nfrom osbuild.util import mnt\nfrom osbuild.util.chroot import Chroot\n"
        "tree = sys.argv[1]\nmnt.mount('/usr', tree + '/usr')\n"
        "def ask(chroot, command, **more):\n"
        "    done = chroot.run(['sh', '-c', command], stdout=subprocess.PIPE, encoding='utf-8', **more)\n"
        "    print(done.stdout.strip(), flush=True)\n"
    )
    ended = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", start + script, tree],
        env={"PYTHONPATH": str(SDK), "PATH": "/usr/sbin:/usr/bin", "SOURCE_DATE_EPOCH": "1"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_program_sees_the_tree_and_the_kernel(tree: Path) -> None:
    script = """
with Chroot(tree) as chroot:
    ask(chroot, "ls -d /*; echo $SOURCE_DATE_EPOCH $X; pwd", env={"X": "y"})
    ask(chroot, "test -c /dev/null && test -d /proc/self && ls /sys | wc -w")
print(os.listdir(tree), len(mnt.mounted_below(tree)))
"""
    lines = run(script, tree).splitlines()
    assert lines[:8] == ["/bin", "/dev", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr"]
    assert lines[8:10] == ["1 y", "/"]
    assert int(lines[10]) > 5
    assert lines[11].endswith("] 1")
    assert sorted(path.name for path in tree.iterdir()) == ["bin", "lib", "lib64", "sbin", "usr"]


def test_run_and_tmp_are_those_of_the_tree(tree: Path) -> None:
    (tree / "tmp").mkdir()
    (tree / "tmp/input").write_text("from the stage")
    script = """
with Chroot(tree) as chroot:
    ask(chroot, "cat /tmp/input; echo made > /tmp/output")
"""
    assert run(script, tree) == "from the stage\n"
    assert (tree / "tmp/output").read_text() == "made\n"


def test_they_may_be_empty_and_have_directories_from_outside(tree: Path, tmp_path: Path) -> None:
    (tree / "tmp").mkdir()
    (tree / "tmp/kept").touch()
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages/a.deb").touch()
    script = f"""
with Chroot(tree, bind=[({str(tmp_path / "packages")!r}, "/run/packages")]) as chroot:
    ask(chroot, "ls /tmp /run/packages; touch /tmp/x /run/y; touch /run/packages/z || echo read-only")
"""
    assert run(script, tree).split() == ["/run/packages:", "a.deb", "/tmp:", "read-only"]
    assert [path.name for path in (tree / "tmp").iterdir()] == ["kept"]
    assert not (tree / "run").exists()


def test_directories_of_ours_show_at_their_places(tree: Path, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    (shown / "deeper").mkdir(parents=True)
    script = f"""
mnt.mount_filesystem("tmpfs", {str(shown / "deeper")!r}, "tmpfs")
with Chroot(tree, bind_mounts=[{str(shown)!r}]) as chroot:
    ask(chroot, "touch {shown}/new {shown}/deeper/new; ls {shown}/deeper")
print(len(mnt.mounted_below(tree)))
"""
    assert run(script, tree) == "new\n1\n"
    assert (shown / "new").exists()


def test_block_devices_of_ours_are_there(tree: Path, tmp_path: Path) -> None:
    dev = tmp_path / "dev"
    dev.mkdir()
    script = f"""
mnt.mount_filesystem("tmpfs", {str(dev)!r}, "tmpfs")
os.makedirs({str(dev)!r} + "/vg")
import stat
for name in ("loop99", "vg/root"):
    os.mknod({str(dev)!r} + "/" + name, 0o600 | stat.S_IFBLK, os.makedev(7, 99))
for name in ("null", "kmsg"):
    os.mknod({str(dev)!r} + "/" + name, 0o666 | stat.S_IFCHR, os.makedev(1, 3 if name == "null" else 11))
mnt.mount({str(dev)!r}, "/dev", ro=False)
with Chroot(tree) as chroot:
    ask(chroot, "cd /dev; ls -d loop99 vg/root null kmsg 2>/dev/null; stat -c %t:%T vg/root")
"""
    assert run(script, tree).split() == ["loop99", "null", "vg/root", "7:63"]


def test_a_link_for_a_mount_point_is_refused_and_nothing_stays(tree: Path) -> None:
    (tree / "dev").symlink_to("/dev")
    script = """
try:
    with Chroot(tree): pass
except ValueError as e:
    print(e, len(mnt.mounted_below(tree)))
"""
    assert run(script, tree) == "/dev of the tree is a symbolic link 1\n"
    assert not (tree / "proc").exists()
