"""Runs the executable of a stage as the sandbox does: same paths, same environment, arguments in a file."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from osbuild_core.protocol import stage_api
from osbuild_core.sandbox.capabilities import granted

ROOT = Path(__file__).resolve().parents[3]
SDK = ROOT / "osbuild_core" / "sdk"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: owners, chroot")
"""For tests that are marked root."""


@dataclass(frozen=True)
class Ended:
    """How a stage ended: exit status and everything that it printed."""

    status: int
    log: str


def run_stage(
    name: str,
    tree: Path,
    options: Mapping[str, object] | None = None,
    *,
    inputs: dict[str, Path] | None = None,
    mounts: dict[str, Path] | None = None,
    epoch: int | None = None,
    host_usr: bool = False,
) -> Ended:
    """Run stage ``org.osbuild.NAME`` on ``tree``.

    Inputs and mounts are directories by name. ``host_usr`` shows the machine's /usr in the tree, read-only.
    """
    executable = ROOT / "stages" / f"org.osbuild.{name}"
    document = tree.parent / f"{tree.name}.arguments.json"
    arguments = stage_api.arguments(
        options or {},
        id="0" * 64,
        source_epoch=epoch,
        inputs={key: {"path": f"/run/osbuild/inputs/{key}"} for key in inputs or {}},
        mounts={key: {"path": f"/run/osbuild/mounts/{key}"} for key in mounts or {}},
    )
    document.write_text(json.dumps(arguments))

    command = [
        "bwrap",
        "--dev-bind",
        "/",
        "/",
        "--die-with-parent",
        "--unshare-ipc",
        "--unshare-pid",
        "--unshare-net",
    ]
    command += ["--proc", "/proc", "--tmpfs", "/run", "--chdir", "/", "--dir", "/run/osbuild/mounts"]
    # Each sandbox has a /var/tmp of its own.
    command += ["--tmpfs", "/var/tmp"]
    if os.geteuid() == 0:
        command += ["--cap-drop", "ALL"]
        for capability in sorted(capabilities_of(executable)):
            command += ["--cap-add", capability]
    command += ["--ro-bind", str(document), "/run/osbuild/api/arguments"]
    command += ["--ro-bind", str(SDK), "/run/osbuild/lib"]
    command += ["--ro-bind", str(executable), f"/run/osbuild/bin/{executable.name}"]
    command += ["--bind", str(tree), "/run/osbuild/tree"]
    if host_usr:
        command += ["--ro-bind", "/usr", "/run/osbuild/tree/usr"]
    for key, path in (inputs or {}).items():
        command += ["--ro-bind", str(path), f"/run/osbuild/inputs/{key}"]
    for key, path in (mounts or {}).items():
        command += ["--bind", str(path), f"/run/osbuild/mounts/{key}"]

    return run_program(command, executable, epoch)


def run_program(sandbox: Sequence[str], executable: Path, epoch: int | None) -> Ended:
    """Run ``executable`` in the sandbox that the bwrap command ``sandbox`` makes, which shows it in its place."""
    environment = {
        "LC_CTYPE": "C.UTF-8",
        "PATH": "/usr/sbin:/usr/bin",
        "PYTHONPATH": "/run/osbuild/lib",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if epoch is not None:
        environment["SOURCE_DATE_EPOCH"] = str(epoch)
    result = subprocess.run(
        [*sandbox, "--", f"/run/osbuild/bin/{executable.name}"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return Ended(result.returncode, result.stdout)


def capabilities_of(executable: Path) -> frozenset[str]:
    """Return what the engine would give the module ``executable``."""
    meta = json.loads(executable.with_name(executable.name + ".meta.json").read_text())
    return granted(frozenset(meta.get("capabilities", [])), frozenset(meta.get("withheld", [])))


def apply(name: str, tree: Path, options: Mapping[str, object] | None = None, **more: object) -> str:
    """Run a stage that is to succeed; return its log."""
    ended = run_stage(name, tree, options, **more)  # type: ignore[arg-type]
    assert ended.status == 0, ended.log
    return ended.log


def refuse(name: str, tree: Path, options: Mapping[str, object] | None = None, **more: object) -> str:
    """Run a stage that is to fail; return its log."""
    ended = run_stage(name, tree, options, **more)  # type: ignore[arg-type]
    assert ended.status != 0, ended.log
    return ended.log


def mode_of(path: Path) -> int:
    return path.lstat().st_mode & 0o7777


def debian_tree(tree: Path) -> Path:
    """Fill ``tree`` with what a Debian tree has apart from /usr, for use with ``host_usr``."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (tree / name).symlink_to(f"usr/{name}")
    for name in ("usr", "etc/skel", "home", "root", "var/log", "dev", "tmp"):
        (tree / name).mkdir(parents=True)
    etc = tree / "etc"
    (etc / "debian_version").write_text("12.0\n")
    (etc / "passwd").write_text(
        "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    )
    (etc / "group").write_text("root:x:0:\nsudo:x:27:\nusers:x:100:\nnogroup:x:65534:\n")
    (etc / "shadow").write_text("root:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n")
    (etc / "shadow").chmod(0o640)
    (etc / "gshadow").write_text("root:*::\nsudo:*::\nusers:*::\nnogroup:*::\n")
    (etc / "gshadow").chmod(0o640)
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nshadow: files\n")
    (etc / "skel" / ".profile").write_text("# profile\n")
    shutil.copy("/etc/login.defs", etc / "login.defs")
    # Programs of the machine's /usr are found through here.
    if Path("/etc/alternatives").is_dir():
        shutil.copytree("/etc/alternatives", etc / "alternatives", symlinks=True)
    return tree
