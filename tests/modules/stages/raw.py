"""Runs the executable of a stage with arguments that harness.py does not make: devices, and inputs with data."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from osbuild_core.protocol import stage_api

from .harness import ROOT, SDK, Ended, capabilities_of, run_program


def run_raw(
    name: str,
    tree: Path,
    options: Mapping[str, object],
    *,
    files: Mapping[str, Path] | None = None,
    device: str | None = None,
    epoch: int | None = None,
) -> Ended:
    """Run stage ``org.osbuild.NAME`` on ``tree``.

    ``files`` are directories by input name, as a files input gives them; ``device`` is the path of the device that
    the stage knows as ``device``.
    """
    inputs = {
        key: {
            "path": f"/run/osbuild/inputs/{key}",
            "data": {"files": {path.name: {} for path in folder.iterdir() if not path.name.startswith(".")}},
        }
        for key, folder in (files or {}).items()
    }
    arguments = stage_api.arguments(
        options,
        id="0" * 64,
        source_epoch=epoch,
        inputs=inputs,
        devices={"device": {"path": device}} if device else {},
    )
    document = tree.parent / f"{tree.name}.arguments.json"
    document.write_text(json.dumps(arguments))
    metadata = tree.parent / f"{tree.name}.metadata.json"
    metadata.touch()
    program = ROOT / "stages" / f"org.osbuild.{name}"
    command = ["bwrap", "--bind", "/", "/", "--die-with-parent", "--cap-drop", "ALL"]
    command += ["--unshare-ipc", "--unshare-pid", "--unshare-net"]
    # As in the sandbox, a stage sees its own device only: mkfs.btrfs looks for its UUID on all that there are.
    command += ["--dev", "/dev"]
    if device:
        command += ["--dev-bind", device, device]
    for capability in sorted(capabilities_of(program)):
        command += ["--cap-add", capability]
    command += ["--proc", "/proc", "--tmpfs", "/run", "--chdir", "/"]
    command += ["--ro-bind", str(document), "/run/osbuild/api/arguments"]
    command += ["--bind", str(metadata), "/run/osbuild/meta"]
    command += ["--ro-bind", str(SDK), "/run/osbuild/lib"]
    command += ["--ro-bind", str(program), f"/run/osbuild/bin/{program.name}"]
    command += ["--bind", str(tree), "/run/osbuild/tree"]
    for key, folder in (files or {}).items():
        command += ["--ro-bind", str(folder), f"/run/osbuild/inputs/{key}"]
    return run_program(command, program, epoch)


@contextlib.contextmanager
def loop(image: Path, *, offset: int = 0) -> Iterator[str]:
    """Give a loop device on ``image``, from ``offset`` bytes on."""
    command = ["losetup", "--find", "--show", "--offset", str(offset), str(image)]
    device = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def sparse(path: Path, size: int) -> Path:
    """Make a file of ``size`` bytes that takes no space."""
    with path.open("wb") as file:
        file.truncate(size)
    return path
