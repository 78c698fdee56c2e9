"""AMIs against the emulator: the command line as its users call it, and what AWS has afterwards."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.emulator.aws.client import SECRET, TOKEN, Emulator

OSBUILD_CORE = Path(sys.executable).with_name("osbuild-core")

KEY = "AKIAEMULATORTEST0001"
BLOCK = 512 * 1024
MIB = 1 << 20
HOME = "us-east-1"


class Ami:
    """``osbuild-core ami`` in a directory with an image, on an emulator that has nothing yet."""

    def __init__(self, emulator: Emulator, directory: Path) -> None:
        self.emulator = emulator
        self.directory = directory
        self.state = directory / "state"
        self.keys = itertools.count(1)
        self.asked: set[tuple[str, str]] = set()
        ours = ("AWS_", "OSBUILD", "_OSBUILD")
        self.environment = {name: v for name, v in os.environ.items() if not name.startswith(ours)}
        self.environment |= emulator.environment(KEY, HOME) | {"XDG_STATE_HOME": str(self.state)}

    def image(self, name: str = "disk.raw", size: int = 24 * MIB, blocks: int = 4, seed: int = 1) -> Path:
        """Write a sparse raw image with ``blocks`` blocks of data, spread over it."""
        path, dice = self.directory / name, random.Random(seed)
        with path.open("wb") as file:
            file.truncate(size)
            for index in sorted(dice.sample(range(size // BLOCK), blocks)):
                file.seek(index * BLOCK)
                file.write(dice.randbytes(BLOCK))
        return path

    def config(self, name: str = "config.yaml", **awspub: Any) -> str:
        """Write a configuration and return its file name; what is not given is filled in."""
        document = {
            "source": {"path": "disk.raw", "architecture": "x86_64"},
            "images": {"an-image": {"boot_mode": "uefi", "regions": [HOME]}},
            **awspub,
        }
        (self.directory / name).write_text(yaml.safe_dump({"awspub": document}, sort_keys=False))
        return name

    def command(self, *arguments: Any) -> list[str]:
        return [str(OSBUILD_CORE), "ami", *map(str, arguments)]

    def run(self, *arguments: Any, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run ``osbuild-core ami``; the secret key and the token are in nothing that it says."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            env={**self.environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert SECRET not in done.stdout + done.stderr
        assert TOKEN not in done.stdout + done.stderr
        return done

    def ok(self, *arguments: Any, env: dict[str, str] | None = None) -> Any:
        """Run a command that has to succeed; return what it wrote as JSON, None for nothing."""
        output = self.directory / "output.json"
        output.unlink(missing_ok=True)
        done = self.run(*arguments, "--output", output, env=env)
        assert done.returncode == 0, done.stderr + done.stdout
        return json.loads(output.read_text()) if output.exists() else None

    def count(self, *arguments: Any) -> list[str]:
        """Run a command that has to succeed; return the actions that it asked for, in their order."""
        self.emulator.forget_log()
        self.ok(*arguments)
        return [item["action"] for item in self.emulator.log()]

    def kill_at(self, at: int, *arguments: Any, performed: bool) -> bool:
        """Kill a command of ours at its request number ``at``; see :meth:`kill_program_at`."""
        return self.kill_program_at(at, self.command(*arguments), performed=performed)

    def kill_program_at(self, at: int, command: list[str], *, performed: bool) -> bool:
        """Kill a program at its request number ``at``, counted from 1; say whether it came that far.

        ``performed``: the request is carried out, and its answer never comes. Otherwise it never arrives.
        """
        key = f"AKIAKILLED{next(self.keys):010d}"
        environment = {**self.environment, "AWS_ACCESS_KEY_ID": key}
        with self.emulator.hold(key, at, performed=performed):
            # In a group of its own, since what it has started goes with it.
            client = subprocess.Popen(
                command,
                cwd=self.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            while not (held := self.emulator.held(0.1)) and client.poll() is None:
                pass
            with suppress(ProcessLookupError):
                os.killpg(client.pid, signal.SIGKILL)
            client.wait()
        return held

    def region(self, name: str = HOME) -> dict[str, Any]:
        """Return what there is in a region."""
        return dict(self.emulator.state()["regions"][name])


@pytest.fixture(scope="session")
def emulator_process() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(emulator_process: Emulator) -> Iterator[Emulator]:
    """An emulator in which there is nothing, with the usual settings."""
    emulator_process.reset()
    yield emulator_process
    emulator_process.reset()


@pytest.fixture
def ami(emulator: Emulator, tmp_path: Path) -> Ami:
    return Ami(emulator, tmp_path)
