"""File systems on loop devices, and mount services on them."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from service_harness import Running, running


class Places:
    """Directories as a stage has them: its tree, its devices, its mounts."""

    def __init__(self, root: Path) -> None:
        self.tree, self.dev, self.mounts = (root / name for name in ("tree", "dev", "mounts"))
        for path in (self.tree, self.dev, self.mounts):
            path.mkdir(parents=True)

    def image(self, name: str, mib: int, *command: str) -> str:
        """Make an image in the tree and run ``command``, which formats it; return its name."""
        with (self.tree / name).open("wb") as file:
            file.truncate(mib << 20)
        subprocess.run([*command, str(self.tree / name)], check=True, stdout=subprocess.DEVNULL)
        return name

    @contextlib.contextmanager
    def device(self, name: str) -> Iterator[Path]:
        """Give the node of a loop device on the file ``name`` of the tree."""
        with running("devices", "loopback") as service:
            arguments = {"dev": str(self.dev), "tree": str(self.tree), "parent": None}
            reply: Any = service.call("open", {**arguments, "options": {"filename": name}})
            yield self.dev / reply["path"]

    def mount(self, service: Running, device: Path, target: str = "/", **options: object) -> Path:
        """Have the service mount the device; return where its namespace has that."""
        root = str(self.mounts)
        arguments = {"source": str(device), "target": target, "root": root, "tree": str(self.tree)}
        reply = service.call("mount", {**arguments, "options": options})
        assert isinstance(reply, str)
        return service.seen(Path(reply))


def mount_options(service: Running, places: Places) -> set[str]:
    """Return the options, of the mount and of the file system, with which the mounts' directory is mounted."""
    lines = Path(f"/proc/{service.process.pid}/mountinfo").read_text().splitlines()
    (line,) = [line for line in lines if f" {places.mounts} " in line]
    fields = line.split()
    return {*fields[5].split(","), *fields[-1].split(",")}
