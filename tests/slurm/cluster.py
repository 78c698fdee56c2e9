"""A real Slurm of two nodes on this machine, for tests and the documentation's examples.

    with Cluster() as cluster:
        cluster.run("sbatch", "--wrap", "hostname")
        cluster.kill_node("n1")

It has its own munge, directories and ports, so any number of them run side by side, and none sees or needs the
machine's own Slurm. Each node is a process namespace: it can be lost as a machine is that loses its power, with its
slurmd, the steps and the jobs on it. All daemons are children of this process and die with it, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO

from tests.slurm.config import NODES, Places, write

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "setpriv", "unshare")
PREFIX = "osbuild-core-slurm-"
PATH = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc")
INIT = Path(__file__).with_name("init.py")


class ClusterError(Exception):
    """The cluster did not do what was waited for; the text ends with the last lines of its logs."""


def unavailable() -> str | None:
    """Return why there can be no private Slurm on this machine; None if there can."""
    if os.geteuid() != 0:
        return "root is needed for the daemons of a private Slurm"
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if missing:
        return f"no {', '.join(missing)}: packages slurm-wlm, munge"
    probe = subprocess.run([*NAMESPACE, "true"], stderr=subprocess.PIPE, text=True)
    if probe.returncode != 0:
        return f"no process namespaces for the nodes of a private Slurm here: {probe.stderr.strip()}"
    return None


def limits_unavailable() -> str | None:
    """Return why jobs cannot be held to their memory here; None if they can."""
    probe = Path("/sys/fs/cgroup/memory/osbuild-core-probe")
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError:
        return (
            "Slurm limits memory by cgroups of version 1 here, and there is no such one that can be written"
        )
    return None


class Cluster:
    """Context manager for one cluster.

    ``environment`` is what clients need (``SLURM_CONF``); ``places`` is where its files are, readable for all
    users. ``settings`` are further lines of slurm.conf; ``memory_limits`` has jobs held to their ``--mem`` by
    cgroups. Raises ClusterError where it does not come up.
    """

    def __init__(
        self, settings: Mapping[str, str] = MappingProxyType({}), *, memory_limits: bool = False
    ) -> None:
        self._settings = settings
        self._memory_limits = memory_limits
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._lock: IO[bytes] | None = None
        self.places = Places(Path())

    def __enter__(self) -> Cluster:
        _remove_stale()
        # It gets the name that others look for when it is locked: until then it would look like a dead one.
        new = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=_parent()))
        self._lock = (new / "lock").open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        new.chmod(0o755)
        self.places = Places(new.rename(new.with_name(new.name.removeprefix("."))))
        try:
            write(self.places, self._settings, self._memory_limits)
            self._start_munge()
            self.start_controller(forget=True)
            for node in NODES:
                self._start_slurmd(node)
            for node in NODES:
                self.wait_for_node(node, "idle")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def environment(self) -> dict[str, str]:
        """What the environment of a client needs beyond its own."""
        return {"SLURM_CONF": str(self.places.config)}

    def run(self, *argv: str, check: bool = True) -> str:
        """Run a client (``squeue``, …) and return what it prints. Raises ClusterError unless ``check`` is off."""
        done = subprocess.run(
            argv,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        if check and done.returncode != 0:
            raise ClusterError(f"{' '.join(argv)}: status {done.returncode}\n{done.stdout}")
        return done.stdout

    def kill_node(self, node: str, *, noticed: bool = False) -> None:
        """Lose a node as by a power cut: slurmd, slurmstepd and the jobs on it, at once and without a word.

        The controller notices after ``SlurmdTimeout`` (10 s) and two or three pings, so within half a minute;
        ``noticed`` tells it at once. Jobs that may be requeued are, and start some seconds later.
        """
        self._kill(f"slurmd.{node}")
        if noticed:
            self.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=lost")

    def start_node(self, node: str) -> None:
        """Start a node that was killed, and wait until it takes jobs."""
        self._start_slurmd(node)
        if "down" in self.run("sinfo", "-h", "-N", "-n", node, "-o", "%T"):
            self.run("scontrol", "update", f"NodeName={node}", "State=RESUME", check=False)
        self.wait_for_node(node, "idle", "mixed", "allocated")

    def restore(self) -> None:
        """Cancel all jobs, and start what a test before this one has stopped or killed."""
        if "slurmctld" not in self._daemons:
            self.start_controller()
        for node in NODES:
            if f"slurmd.{node}" not in self._daemons:
                self.start_node(node)
        if jobs := self.run("squeue", "-h", "-o", "%A").split():
            self.run("scancel", *jobs)
            self._wait(lambda: not self.run("squeue", "-h", "-o", "%A").split(), "an empty queue", 60)

    def stop_controller(self) -> None:
        """Stop slurmctld, which saves its state first. Jobs run on; clients fail after ``MessageTimeout`` (10 s)."""
        self._end("slurmctld")

    def start_controller(self, *, forget: bool = False) -> None:
        """Start slurmctld; with ``forget`` it knows no job from before, as after ``MinJobAge``, and counts anew."""
        self._spawn("slurmctld", ["slurmctld", "-D", *(["-c"] if forget else [])])
        self._wait(lambda: "UP" in self.run("scontrol", "ping", check=False), "an answer of slurmctld", 30)

    def wait_for_node(self, node: str, *states: str, timeout: float = 60) -> None:
        """Wait until ``sinfo`` shows one of ``states`` (``idle``, ``down``) for ``node``. Raises ClusterError."""

        def there() -> bool:
            state = self.run("sinfo", "-h", "-N", "-n", node, "-o", "%T", check=False)
            return state.strip().rstrip("*~#!%$@^-") in states

        self._wait(there, f"{node} to be {' or '.join(states)}", timeout)

    def logs(self, lines: int = 15) -> str:
        """Return the last lines of all logs."""
        text = ""
        for path in sorted((self.places.root / "log").iterdir()):
            text += f"--- {path.name}\n"
            text += "".join(path.read_text(errors="replace").splitlines(keepends=True)[-lines:])
        return text

    def _start_munge(self) -> None:
        run = self.places.root / "run"
        self._spawn(
            "munged",
            [
                *("munged", "--foreground", "--force"),
                *(f"--key-file={self.places.key}", f"--socket={self.places.socket}"),
                *(f"--pid-file={run}/munged.pid", f"--seed-file={run}/munge.seed"),
                f"--log-file={self.places.log('munged')}",
            ],
        )
        self._wait(self.places.socket.exists, "the socket of munge", 30)

    def _start_slurmd(self, node: str) -> None:
        self._spawn(
            f"slurmd.{node}",
            [
                *NAMESPACE,
                *(sys.executable, "-I", "-S", str(INIT), "slurmd", "-D", "-N", node),
            ],
        )

    def _spawn(self, name: str, argv: list[str]) -> None:
        with self.places.log(f"{name}.output").open("ab") as output:
            self._daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.places.root,
                env={"PATH": PATH, **self.environment},
                # Ctrl-C is for the tests; they stop the daemons in their order.
                start_new_session=True,
            )

    def _wait(self, there: Callable[[], bool], what: str, timeout: float) -> None:
        end = time.monotonic() + timeout
        while not there():
            dead = [name for name, process in self._daemons.items() if process.poll() is not None]
            if dead or time.monotonic() > end:
                raise ClusterError(f"no sign of {what}; ended: {', '.join(dead) or 'none'}\n{self.logs()}")
            time.sleep(0.02)

    def _end(self, name: str) -> None:
        """Ask a daemon to end, and make it."""
        process = self._daemons[name]
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
        self._daemons.pop(name).wait()

    def _kill(self, name: str) -> None:
        process = self._daemons.pop(name)
        process.kill()
        process.wait()

    def _stop(self) -> None:
        for name in reversed(self._daemons.copy()):
            self._kill(name)
        if self._memory_limits:
            _remove_cgroups()
        # Steps of a killed node may write a last file while its namespace goes.
        for _ in range(50):
            with contextlib.suppress(OSError):
                shutil.rmtree(self.places.root)
                break
            time.sleep(0.02)
        if self._lock is not None:
            self._lock.close()


def _remove_cgroups() -> None:
    """Remove the cgroups that slurmd of our node names leaves behind: of version 1, and of version 2."""
    for top in (*Path("/sys/fs/cgroup").glob("*/slurm_n[01]"), *Path("/sys/fs/cgroup").glob("slurm_n[01]")):
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)


def _parent() -> str:
    """Return where the cluster's directory is made; the names of slurmstepd's sockets below it are limited."""
    directory = tempfile.gettempdir()
    return directory if len(directory) < 40 else "/tmp"


def _remove_stale() -> None:
    """Remove the directories of clusters whose process was killed."""
    for root in Path(_parent()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), (root / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(root, ignore_errors=True)
