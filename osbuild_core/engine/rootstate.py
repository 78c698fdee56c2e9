"""The ``/etc`` and ``/var`` of sandboxes: for each stage as the runner left them, whatever the stage before did.

They lie on a tmpfs, over what the store keeps of the runner, except for ``/var/tmp``, which may get large.
Most stages change nothing in them; then the next one gets the same.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from osbuild_core.model.errors import SandboxError
from osbuild_core.sandbox import mounts
from osbuild_core.store.removal import remove_tree


class RootState:
    """``frame`` is a directory on a tmpfs, ``disk`` one on the store's file system; both are ours alone.

    ``kept`` is the tree with the ``etc`` and ``var`` to start from, None for empty ones. ``overlay`` tells
    whether file systems of that type can be mounted.
    """

    def __init__(self, frame: Path, disk: Path, kept: Path | None, *, overlay: bool) -> None:
        self._kept = kept
        self._overlay = overlay and kept is not None
        self._upper = frame / "state-upper"
        self._work = frame / "state-work"
        self._root = frame / "state"
        self._frame = frame
        self._large = disk / "var-tmp"
        self._root.mkdir()
        self._large.mkdir()
        self._large.chmod(0o1777)
        self._ready = False

    def fresh(self) -> tuple[Path, Path]:
        """Return ``etc`` and ``var`` for the next sandbox; the one before has to be gone."""
        if not self._ready or not self._unchanged():
            self._renew()
        return self._root / "etc", self._root / "var"

    def _unchanged(self) -> bool:
        if not self._overlay:
            return False
        return not any(os.scandir(self._upper)) and not any(os.scandir(self._large))

    def _renew(self) -> None:
        if self._ready:
            mounts.unmount_below(self._frame / "state" / "var")
            if self._overlay:
                mounts.unmount(self._root)
        for path in (self._upper, self._work, *self._large.iterdir()):
            remove_tree(str(path))
        if self._overlay:
            self._upper.mkdir()
            self._work.mkdir()
            self._mount()
        else:
            remove_tree(str(self._root))
            self._root.mkdir()
            self._copy()
        self._ready = True
        mounts.bind(self._large, self._root / "var" / "tmp")

    def _mount(self) -> None:
        # Through a descriptor: an option of mount(2) has no room for any path, nor for commas in it.
        frame = os.open(self._frame, os.O_PATH | os.O_CLOEXEC)
        kept = os.open(self._kept or "/", os.O_PATH | os.O_CLOEXEC)
        here = f"/proc/self/fd/{frame}"
        data = f"lowerdir=/proc/self/fd/{kept},upperdir={here}/state-upper,workdir={here}/state-work"
        try:
            mounts.mount("overlay", self._root, "overlay", 0, data)
        finally:
            os.close(frame)
            os.close(kept)

    def _copy(self) -> None:
        if self._kept is not None:
            done = subprocess.run(
                ["cp", "-a", "--", f"{self._kept}/.", str(self._root)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
            )
            if done.returncode != 0:
                said = done.stderr.decode(errors="replace").strip().splitlines() or ["cp failed"]
                raise SandboxError(f"cannot copy /etc and /var: {said[-1]}", code="sandbox.state")
        make_state(self._root)


def make_state(root: Path) -> tuple[Path, Path]:
    """Make sure that ``etc``, ``var`` and ``var/tmp`` are in ``root``; return the first two."""
    etc, var = root / "etc", root / "var"
    etc.mkdir(mode=0o755, exist_ok=True)
    var.mkdir(mode=0o755, exist_ok=True)
    temporary = var / "tmp"
    if not temporary.is_dir():
        temporary.mkdir()
        temporary.chmod(0o1777)
    return etc, var
