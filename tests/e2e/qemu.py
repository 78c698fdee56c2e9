"""A disk image in a virtual machine: start it, read its serial console, log in, stop it.

Everything is emulated (TCG), so no access to the processor's virtualization is needed.
"""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType


class BootError(Exception):
    """The machine did not do what was waited for; the text ends with the last lines of its console."""


class Machine:
    """Context manager for one virtual machine; the image is not changed.

    ``console`` is the file to which the serial console is written, ``image_format`` is as qemu-img names it,
    ``memory`` in MiB. Leaving ends the machine, however far it got. Port ``ssh_port`` of 127.0.0.1 leads to
    its port 22.
    """

    def __init__(self, image: Path, console: Path, *, image_format: str = "raw", memory: int = 1024) -> None:
        self.console = console
        self.ssh_port = free_port()
        drive = f"file={str(image).replace(',', ',,')},format={image_format},if=virtio,snapshot=on"
        self.command = [
            *("qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot"),
            *("-accel", "tcg,thread=multi", "-smp", "2", "-m", str(memory)),
            *("-drive", drive),
            *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22"),
            *("-device", "virtio-net-pci,netdev=net", "-device", "virtio-rng-pci"),
            *("-serial", "stdio"),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Machine:
        with self.console.open("wb") as file:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._running()
        process.kill()
        process.wait()

    def output(self) -> str:
        """Return what the console has printed so far."""
        return self.console.read_text(errors="replace")

    def wait_for(self, text: str, timeout: float) -> float:
        """Wait at most ``timeout`` seconds until the console has printed ``text``; return how long it took.

        Raises BootError.
        """
        start = time.monotonic()
        while text not in self.output():
            waited = time.monotonic() - start
            if self._running().poll() is not None:
                raise self._failure(f"the machine ended while {text!r} was waited for")
            if waited > timeout:
                raise self._failure(f"no {text!r} on the console within {timeout:.0f} s")
            time.sleep(0.25)
        return time.monotonic() - start

    def ssh(self, user: str, key: Path, command: str, timeout: float = 120) -> str:
        """Run ``command`` in the machine's shell and return what it printed.

        Tries again while the machine does not answer yet. Raises BootError where it fails, or is not
        done within ``timeout`` seconds.
        """
        argv = ["ssh", "-i", str(key), "-p", str(self.ssh_port), "-o", "BatchMode=yes"]
        argv += [
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
        ]
        argv += ["-o", "ConnectTimeout=20", "-o", "IdentitiesOnly=yes", "-F", "none"]
        argv += [f"{user}@127.0.0.1", "--", command]
        end = time.monotonic() + timeout
        while True:
            try:
                left = max(1.0, end - time.monotonic())
                done = subprocess.run(
                    argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=left
                )
            except subprocess.TimeoutExpired:
                raise self._failure(f"{command!r} was not done within {timeout:.0f} s") from None
            # 255 is ssh's own: nobody listens yet, or the connection was lost.
            if done.returncode == 0:
                return done.stdout
            if done.returncode != 255 or time.monotonic() > end:
                raise self._failure(f"{command!r}: status {done.returncode}: {done.stdout}{done.stderr}")
            time.sleep(1)

    def wait_until_off(self, timeout: float) -> None:
        """Wait until the machine has switched itself off. Raises BootError."""
        try:
            self._running().wait(timeout)
        except subprocess.TimeoutExpired:
            raise self._failure(f"still on after {timeout:.0f} s") from None

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the machine has not been started"
        return self._process

    def _failure(self, text: str) -> BootError:
        last = "\n".join(self.output().splitlines()[-25:])
        return BootError(f"{text}\n--- console ---\n{last}")


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
