"""What stages do to trees: each scenario is a list of steps, one per stage, on the directory that it gets."""

from __future__ import annotations

import ctypes
import os
import socket
import stat
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

Step = Callable[[Path], None]

OLD = 123_456_789_123_456_789
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)  # cap_net_bind_service=ep, revision 2


def run(*command: str | os.PathLike[str]) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def write(path: Path, text: str = "content\n", mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def append(path: Path, text: str = "more\n") -> None:
    with open(path, "a") as file:
        file.write(text)


def age(path: Path, by: int = 0) -> None:
    os.utime(path, ns=(OLD + by, OLD + by), follow_symlinks=False)


def exchange(one: Path, other: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), ctypes.c_uint(2)):
        raise OSError(ctypes.get_errno(), "renameat2")


def group(tree: Path) -> None:
    """One file under four names in three directories, with others around."""
    for name in ("a", "b", "c"):
        (tree / name).mkdir()
        write(tree / name / "other", name)
    write(tree / "a/one", mode=0o755)
    for name in ("a/two", "b/three", "c/four"):
        os.link(tree / "a/one", tree / name)
    age(tree / "a/one")


def replace(tree: Path) -> None:
    write(tree / "a/new", "new")
    os.rename(tree / "a/new", tree / "b/three")


def recreate(tree: Path) -> None:
    (tree / "a/two").unlink()
    write(tree / "a/two", "its own now")


def special_bits(tree: Path) -> None:
    group(tree)
    os.chown(tree / "a/one", 7, 8)
    os.chmod(tree / "a/one", 0o6755)
    os.setxattr(tree / "a/one", "security.capability", CAPABILITY)


def links_of_links(tree: Path) -> None:
    (tree / "d").mkdir()
    os.symlink("nowhere", tree / "s1")
    os.link(tree / "s1", tree / "d/s2", follow_symlinks=False)
    os.mkfifo(tree / "f1")
    os.link(tree / "f1", tree / "d/f2")
    age(tree / "s1")


HARD_LINKS: dict[str, list[Step]] = {
    "change": [group, lambda t: append(t / "a/one")],
    "chmod": [group, lambda t: (t / "b/three").chmod(0o600)],
    "chown": [group, lambda t: os.chown(t / "c/four", 3, 4)],
    "truncate": [group, lambda t: os.truncate(t / "a/two", 3)],
    "attribute": [group, lambda t: os.setxattr(t / "c/four", "user.note", b"x")],
    "times": [group, lambda t: age(t / "c/four", 5)],
    "unlink one": [group, lambda t: (t / "a/one").unlink()],
    "unlink all but one": [group, lambda t: [(t / n).unlink() for n in ("a/one", "a/two", "c/four")]],
    "unlink and recreate": [group, recreate],
    "unlink and change": [group, lambda t: ((t / "a/one").unlink(), append(t / "b/three"))],
    "rename": [group, lambda t: os.rename(t / "a/one", t / "c/moved")],
    "rename over": [group, replace],
    "add a name": [group, lambda t: os.link(t / "b/three", t / "b/five")],
    "add a name and change it": [
        group,
        lambda t: (os.link(t / "b/three", t / "b/five"), append(t / "b/five")),
    ],
    "change in each stage": [
        group,
        lambda t: append(t / "a/one", "1\n"),
        lambda t: append(t / "b/three", "2\n"),
        lambda t: (t / "c/four").chmod(0o640),
        lambda t: (t / "a/two").unlink(),
    ],
    "directory renamed, then change": [
        group,
        lambda t: os.rename(t / "b", t / "moved"),
        lambda t: append(t / "a/one"),
        lambda t: append(t / "moved/three"),
    ],
    "chmod, then change": [group, lambda t: (t / "a/one").chmod(0o600), lambda t: append(t / "c/four")],
    "special bits": [special_bits, lambda t: os.setxattr(t / "a/two", "user.note", b"x"), lambda t: None],
    "links of symlinks and fifos": [
        links_of_links,
        lambda t: os.chown(t / "s1", 5, 6, follow_symlinks=False),
        lambda t: (t / "d/f2").chmod(0o600),
    ],
    "group made on a lower file": [
        lambda t: age(write(t / "x/one")),
        lambda t: os.link(t / "x/one", t / "two"),
        lambda t: append(t / "x/one"),
    ],
}


def attributes(tree: Path) -> None:
    for path in (write(tree / "file"), write(tree / "dir/in")):
        os.setxattr(path, "user.colour", b"blue\0\xff")
        os.setxattr(path, "trusted.level", b"3")
        os.setxattr(path, "security.selinux", b"system_u:object_r:etc_t:s0\0")
    os.setxattr(tree / "dir", "user.empty", b"")
    os.symlink("file", tree / "link")
    os.setxattr(tree / "link", "security.selinux", b"system_u:object_r:link_t:s0\0", follow_symlinks=False)
    os.setxattr(tree / "link", "trusted.level", b"4", follow_symlinks=False)


def relabel(tree: Path) -> None:
    for path in (tree, *tree.rglob("*")):
        os.setxattr(path, "security.selinux", b"relabelled\0", follow_symlinks=False)


def lists(tree: Path) -> None:
    write(tree / "file")
    (tree / "dir").mkdir()
    run("setfacl", "-m", "u:12:rw,g:13:r,m::rw", tree / "file")
    run("setfacl", "-m", "u:12:rwx,d:u:12:rwx,d:g:13:r", tree / "dir")


def holes(tree: Path) -> None:
    with open(tree / "sparse", "wb") as file:
        file.truncate(16 << 20)
        file.seek(8 << 20)
        file.write(b"middle")


def in_holes(tree: Path) -> None:
    with open(tree / "sparse", "r+b") as file:
        file.seek(12 << 20)
        file.write(b"later")


def nodes(tree: Path) -> None:
    os.mknod(tree / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(tree / "disk", stat.S_IFBLK | 0o660, os.makedev(8, 1))
    os.mkfifo(tree / "fifo", 0o600)
    here = os.open(tree, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"/proc/self/fd/{here}/socket")
    os.close(here)
    for path in tree.iterdir():
        age(path)


def root_metadata(tree: Path) -> None:
    write(tree / "file")
    os.chown(tree, 7, 8)
    tree.chmod(0o1700)
    os.setxattr(tree, "user.root", b"yes")
    run("setfacl", "-m", "u:12:rx,d:u:12:rwx", tree)
    age(tree)


def deep_tree(tree: Path) -> None:
    for name in ("d/one", "d/two", "d/sub/three", "d/sub/deeper/four", "e/five"):
        age(write(tree / name, name))


def reborn(tree: Path) -> None:
    run("rm", "-r", tree / "d")
    write(tree / "d/one", "again")
    (tree / "d/sub").mkdir()


def odd_names(tree: Path) -> None:
    for name in (
        b"new\nline",
        b"\xff\xfe",
        b"a,b:c=d\\e",
        b"-rf",
        b" ",
        "ö".encode(),
        b"x" * 255,
        b".wh.gone",
    ):
        with open(os.fsencode(tree) + b"/" + name, "w") as file:
            file.write("odd")


def odder_names(tree: Path) -> None:
    os.rename(os.fsencode(tree) + b"/new\nline", os.fsencode(tree) + b"/\xfd")
    os.unlink(os.fsencode(tree) + b"/-rf")
    os.chmod(os.fsencode(tree) + b"/\xff\xfe", 0o600)


LONG = "/".join(["p" * 60] * 5)


def package(tree: Path) -> None:
    """Replace files as a package manager does: backup link, new file, rename over."""
    for name in ("d/one", "d/sub/three"):
        path = tree / name
        os.link(path, f"{path}.old")
        write(Path(f"{path}.new"), "newer")
        age(Path(f"{path}.new"), 9)
        os.rename(f"{path}.new", path)
        os.unlink(f"{path}.old")


def locked(tree: Path) -> None:
    write(tree / "fixed")
    write(tree / "log")
    write(tree / "dir/in")
    run("chattr", "+i", tree / "fixed", tree / "dir")
    run("chattr", "+a", tree / "log")


def unlocked(tree: Path) -> None:
    append(tree / "log")
    run("chattr", "-i", tree / "fixed")
    append(tree / "fixed")


def nested(tree: Path) -> None:
    """Attributes of an overlay that is inside the tree, as container storage has them."""
    write(tree / "inner/file")
    os.setxattr(tree / "inner", "trusted.overlay.opaque", b"y")
    os.setxattr(tree / "inner/file", "trusted.overlay.metacopy", b"")


GENERAL: dict[str, list[Step]] = {
    "nothing": [lambda t: None, lambda t: None],
    "attributes": [attributes, lambda t: append(t / "file"), relabel, lambda t: append(t / "dir/in")],
    "capabilities": [
        lambda t: os.setxattr(write(t / "tool", mode=0o755), "security.capability", CAPABILITY),
        lambda t: os.rename(t / "tool", t / "renamed"),
        lambda t: os.setxattr(t / "renamed", "user.note", b"x"),
    ],
    "access lists": [lists, lambda t: write(t / "dir/new"), lambda t: append(t / "file")],
    "sparse": [holes, in_holes, lambda t: (t / "sparse").chmod(0o600)],
    "nodes": [nodes, lambda t: (t / "null").chmod(0o600), lambda t: (t / "disk").unlink()],
    "root": [root_metadata, lambda t: None, lambda t: (age(t / "file"), age(t, 1)), lambda t: t.chmod(0o755)],
    "delete": [deep_tree, lambda t: (t / "d/one").unlink(), lambda t: run("rm", "-r", t / "d"), deep_tree],
    "opaque": [deep_tree, reborn, lambda t: write(t / "d/sub/new"), reborn],
    "rename a directory": [
        deep_tree,
        lambda t: os.rename(t / "d", t / "moved"),
        lambda t: os.rename(t / "moved/sub", t / "e/sub"),
        lambda t: (append(t / "e/sub/three"), os.rename(t / "e", t / "f")),
        lambda t: run("rm", "-r", t / "f/sub"),
    ],
    "rename and replace": [
        deep_tree,
        lambda t: (os.rename(t / "d", t / "old"), write(t / "d/one", "another")),
        lambda t: exchange(t / "d", t / "old"),
        lambda t: exchange(t / "d/one", t / "old/one"),
    ],
    "file becomes directory": [
        deep_tree,
        lambda t: ((t / "d/one").unlink(), write(t / "d/one/below")),
        lambda t: (run("rm", "-r", t / "d"), os.symlink("e", t / "d")),
    ],
    "packages": [deep_tree, package, package],
    "chown all": [
        deep_tree,
        lambda t: run("chown", "-R", "9:10", t),
        lambda t: os.rename(t / "d/one", t / "e/one"),
        lambda t: append(t / "e/one"),
        lambda t: os.link(t / "d/two", t / "e/two"),
    ],
    "odd names": [odd_names, odder_names],
    "long paths": [
        lambda t: age(write(t / LONG / "file")),
        lambda t: append(t / LONG / "file"),
        lambda t: (t / LONG / "file").chmod(0o600),
        lambda t: run("mv", t / LONG / "file", t / "short"),
    ],
    "flags": [locked, unlocked, lambda t: run("chattr", "-i", t / "dir"), lambda t: append(t / "dir/in")],
    "nested overlay": [
        nested,
        lambda t: append(t / "inner/file"),
        lambda t: os.rename(t / "inner", t / "outer"),
    ],
}

SCENARIOS = {**{f"hard links: {name}": steps for name, steps in HARD_LINKS.items()}, **GENERAL}
