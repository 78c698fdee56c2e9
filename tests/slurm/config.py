"""The files of a private Slurm: what is where below its directory, and what its daemons are told.

Two nodes, ``n0`` and ``n1``, are two slurmd of this machine on ports of their own; everything listens on the
loopback interface only. Nothing here needs a database: finished jobs go to a text file (``jobcomp/filetxt``).
See slurm.conf(5), cgroup.conf(5).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

NODES = ("n0", "n1")
PARTITION = "ci"


@dataclass(frozen=True)
class Places:
    """The files of one cluster, all below ``root``."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "etc/slurm.conf"

    @property
    def key(self) -> Path:
        return self.root / "etc/munge.key"

    @property
    def socket(self) -> Path:
        return self.root / "run/munge.sock"

    @property
    def completion_log(self) -> Path:
        return self.root / "log/jobcomp.log"

    def log(self, daemon: str) -> Path:
        return self.root / f"log/{daemon}.log"


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface that nobody listens on."""
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


def write(places: Places, settings: Mapping[str, str], memory_limits: bool) -> None:
    """Write the configuration below ``places.root``; ``settings`` are lines of slurm.conf that win over ours."""
    for name in ("etc", "run", "log", "state", *(f"spool/{node}" for node in NODES)):
        (places.root / name).mkdir(parents=True, mode=0o755)
    places.key.write_bytes(os.urandom(128))
    places.key.chmod(0o400)
    host = socket.gethostname().partition(".")[0]
    controller, *ports = free_ports(1 + len(NODES))
    lines = {**_settings(places, host, controller), **settings}
    if memory_limits:
        lines["TaskPlugin"] = "task/cgroup"
        lines["ProctrackType"] = "proctrack/cgroup"
        lines["SelectTypeParameters"] = "CR_Core_Memory"
        lines["DefMemPerCPU"] = "100"
        (places.root / "etc/cgroup.conf").write_text(
            "CgroupAutomount=no\nConstrainCores=no\nConstrainRAMSpace=yes\nConstrainSwapSpace=yes\n"
        )
    text = "".join(f"{name}={value}\n" for name, value in lines.items())
    for node, port in zip(NODES, ports, strict=True):
        text += (
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port}"
            " CPUs=2 RealMemory=1000 State=UNKNOWN\n"
        )
    text += f"PartitionName={PARTITION} Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"
    places.config.write_text(text)


def _settings(places: Places, host: str, port: int) -> dict[str, str]:
    """Return what slurm.conf says of the controller; a requeued job waits for ``cred_expire`` before it starts."""
    root = places.root
    return {
        "ClusterName": "ci",
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "SlurmctldPort": str(port),
        "SlurmUser": "root",
        "SlurmdUser": "root",
        "AuthType": "auth/munge",
        "CredType": "cred/munge",
        "AuthInfo": f"socket={places.socket},cred_expire=5",
        "StateSaveLocation": str(root / "state"),
        "SlurmdSpoolDir": f"{root}/spool/%n",
        "SlurmctldPidFile": f"{root}/run/slurmctld.pid",
        "SlurmdPidFile": f"{root}/run/slurmd.%n.pid",
        "SlurmctldLogFile": str(places.log("slurmctld")),
        "SlurmdLogFile": f"{root}/log/slurmd.%n.log",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "SwitchType": "switch/none",
        "MpiDefault": "none",
        "JobAcctGatherType": "jobacct_gather/none",
        "AccountingStorageType": "accounting_storage/none",
        "JobCompType": "jobcomp/filetxt",
        "JobCompLoc": str(places.completion_log),
        "SchedulerType": "sched/backfill",
        "SchedulerParameters": "batch_sched_delay=0,sched_interval=1,bf_interval=2",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core",
        "SlurmdParameters": "config_overrides",
        "SlurmdTimeout": "10",
        "KillWait": "2",
        "ReturnToService": "2",
        "MinJobAge": "300",
    }
