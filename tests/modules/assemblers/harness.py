"""Runs the executable of an assembler as the engine does: same paths, loop devices by way of a socket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from osbuild_core.protocol import stage_api
from osbuild_core.protocol.remoteloop import RemoteLoopServer
from osbuild_core.sandbox import mounts
from tests.modules.stages.harness import ROOT, SDK, Ended, capabilities_of, run_program


class Assembly:
    """A tree, and the directory that an assembler writes to."""

    def __init__(self, base: Path) -> None:
        self.base = base
        base.mkdir()
        self.tree = base / "tree"
        self.output = base / "output"
        self.tree.mkdir(mode=0o755)
        self.output.mkdir()

    def run(
        self, name: str, options: Mapping[str, Any], *binds: tuple[Path, str], epoch: int | None = None
    ) -> Ended:
        """Run assembler ``org.osbuild.NAME``; ``binds`` are shown on top of the machine's files."""
        program = ROOT / "assemblers" / f"org.osbuild.{name}"
        api = self.base / f"api-{len(list(self.base.iterdir()))}"
        dev = api / "dev"
        dev.mkdir(parents=True)
        mounts.make_devices(dev)
        arguments = stage_api.arguments(
            options, id="0" * 64, source_epoch=epoch, inputs={"tree": {"path": "/run/osbuild/inputs/tree"}}
        )
        (api / "arguments").write_text(json.dumps(arguments))
        (api / "meta").touch()
        command = ["bwrap", "--ro-bind", "/", "/", "--dev-bind", str(dev), "/dev", "--die-with-parent"]
        command += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--cap-drop", "ALL"]
        for capability in sorted(capabilities_of(program)):
            command += ["--cap-add", capability]
        command += [
            "--proc",
            "/proc",
            "--tmpfs",
            "/run",
            "--tmpfs",
            "/tmp",
            "--tmpfs",
            "/var/tmp",
            "--chdir",
            "/",
        ]
        shown = {
            api: "/run/osbuild/api",
            api / "meta": "/run/osbuild/meta",
            SDK: "/run/osbuild/lib",
            program: f"/run/osbuild/bin/{program.name}",
            self.tree: "/run/osbuild/inputs/tree",
        }
        for source, target in [*shown.items(), *binds]:
            command += ["--ro-bind", str(source), target]
        command += ["--bind", str(self.output), "/run/osbuild/tree"]
        with RemoteLoopServer(api / "remoteloop"):
            return run_program(command, program, epoch)

    def make(
        self, name: str, options: Mapping[str, Any], *binds: tuple[Path, str], epoch: int | None = None
    ) -> str:
        """Run an assembler that is to succeed; return its log."""
        ended = self.run(name, options, *binds, epoch=epoch)
        assert ended.status == 0, ended.log
        return ended.log

    def refuse(self, name: str, options: Mapping[str, Any], *binds: tuple[Path, str]) -> str:
        """Run an assembler that is to fail; return the last line of its log."""
        ended = self.run(name, options, *binds)
        assert ended.status != 0, ended.log
        return ended.log.splitlines()[-1]

    def add(self, path: str, text: str = "", mode: int = 0o644) -> Path:
        """Put a file into the tree."""
        target = self.tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
        return target
