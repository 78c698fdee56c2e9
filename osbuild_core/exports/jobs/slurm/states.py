"""What the states of Slurm mean: some forty words for five things that can be said of a job.

See "JOB STATE CODES" and "JOB STATE FLAGS" in squeue(1) and sacct(1), of 22.05 and later versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class JobState(StrEnum):
    """What can be said of a job; the last three are final."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True)
class Meaning:
    """What a state of Slurm says: the state here and, where that needs one, the reason."""

    state: JobState
    reason: str | None = None


_P, _R, _D, _F, _C = JobState.PENDING, JobState.RUNNING, JobState.DONE, JobState.FAILED, JobState.CANCELLED

MEANINGS = {
    # Base states.
    "PENDING": Meaning(_P),
    "RUNNING": Meaning(_R),
    "SUSPENDED": Meaning(_R, "it is suspended"),
    "COMPLETED": Meaning(_D),
    "CANCELLED": Meaning(_C, "it was cancelled"),
    "FAILED": Meaning(_F),
    "TIMEOUT": Meaning(_F, "it ran longer than its time limit"),
    "NODE_FAIL": Meaning(_F, "a node of it was lost"),
    "PREEMPTED": Meaning(_F, "another job took its place"),
    "BOOT_FAIL": Meaning(_F, "a node of it did not boot"),
    "DEADLINE": Meaning(_F, "it could not end before its deadline"),
    "OUT_OF_MEMORY": Meaning(_F, "it needed more memory than it may have"),
    # Flags, which the programs show instead of the base state.
    "CONFIGURING": Meaning(_P, "its nodes are being prepared"),
    "POWER_UP_NODE": Meaning(_P, "its nodes are being powered up"),
    "REQUEUED": Meaning(_P, "it was requeued"),
    "REQUEUE": Meaning(_P, "it was requeued"),
    "REQUEUE_FED": Meaning(_P, "it is being requeued in the federation"),
    "REQUEUE_HOLD": Meaning(_P, "it was requeued and is held"),
    "RESV_DEL_HOLD": Meaning(_P, "it is held, its reservation is gone"),
    "EXPEDITING": Meaning(_P, "it is being requeued before others"),
    "COMPLETING": Meaning(_R, "it is being cleaned up after"),
    "RESIZING": Meaning(_R, "its size is being changed"),
    "SIGNALING": Meaning(_R, "it is being sent a signal"),
    "STAGE_OUT": Meaning(_R, "its files are being brought out"),
    "STOPPED": Meaning(_R, "it is stopped"),
    "UPDATE_DB": Meaning(_R, "its record is being updated"),
    "LAUNCH_FAILED": Meaning(_F, "it could not be started on its node"),
    "RECONFIG_FAIL": Meaning(_F, "its node could not be reconfigured"),
    "SPECIAL_EXIT": Meaning(_F, "it ended in a way that the cluster holds it for"),
    "REVOKED": Meaning(_C, "another cluster of the federation runs it"),
}
"""Every state and flag; what none of them is counts as running, since it is not known to have ended."""

_SHORT = {"COMPLETE": "COMPLETED", "OOM": "OUT_OF_MEMORY", "POWERING_UP_NODE": "POWER_UP_NODE"}


def meaning(text: str) -> Meaning:
    """Return what ``text`` means, as squeue, scontrol, sacct or the completion log write it.

    sacct adds who cancelled (``CANCELLED by 1000``) and cuts words short (``OUT_OF_ME+``); newer versions list
    a base state and its flags (``COMPLETED,COMPLETING``), where one that is not final decides.
    """
    words = re.findall(r"[A-Z_]+\+?", text.partition(" by ")[0].upper())
    found = [_one(word) for word in words] or [Meaning(_R, f"its state is {text!r}")]
    running = [one for one in found if not one.state.ended]
    return running[-1] if running else found[-1]


def _one(word: str) -> Meaning:
    if word.endswith("+"):
        whole = [name for name in MEANINGS if name.startswith(word[:-1])]
        word = whole[0] if len(whole) == 1 else word
    return MEANINGS.get(_SHORT.get(word, word)) or Meaning(_R, f"its state is {word!r}")


@dataclass(frozen=True)
class JobStatus:
    """What is known of a job, or of one task of an array.

    ``job`` is as sbatch gives it, with ``_N`` for a task; ``slurm_state`` the word that Slurm has; ``reason`` says
    why it waits, failed or was cancelled; ``exit_code`` and ``signal`` are of an ended one, where they are known;
    ``source`` is who said so. The status of an array has those of its tasks.
    """

    job: str
    state: JobState
    slurm_state: str
    reason: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    nodes: str = ""
    source: str = ""
    tasks: tuple[JobStatus, ...] = ()

    @property
    def ended(self) -> bool:
        return self.state.ended


def status_of(
    job: str, text: str, *, reason: str = "", exit_code: str = "", nodes: str = "", source: str
) -> JobStatus:
    """Return the status of ``job`` from the words of a program: its state, reason, ``code:signal``."""
    means = meaning(text)
    code, signal = _exit_of(exit_code) if means.state.ended else (None, None)
    said = None if reason in ("", "None", "(null)") else reason
    why = means.reason
    if means.state is JobState.PENDING:
        why = said or why
    elif means.state is JobState.FAILED and why is None:
        why = f"signal {signal}" if signal else f"exit status {code}" if code else said
    return JobStatus(
        job,
        means.state,
        text.partition(" by ")[0],
        why,
        code,
        signal,
        "" if nodes in ("(null)", "None assigned") else nodes,
        source,
    )


def _exit_of(text: str) -> tuple[int | None, int | None]:
    match = re.fullmatch(r"(\d+):(\d+)", text.strip())
    return (int(match[1]), int(match[2])) if match else (None, None)


def array_status(job: str, tasks: Iterable[JobStatus]) -> JobStatus:
    """Return the status of an array: of a task that runs or waits while there is one, then of one that failed."""
    tasks = sorted(tasks, key=lambda task: int((re.search(r"_\[?(\d+)", task.job) or [0, 0])[1]))
    order = (JobState.RUNNING, JobState.PENDING, JobState.FAILED, JobState.CANCELLED, JobState.DONE)
    first = min(tasks, key=lambda task: order.index(task.state))
    return JobStatus(
        job,
        first.state,
        first.slurm_state,
        first.reason and f"task {first.job.rpartition('_')[2]}: {first.reason}",
        first.exit_code,
        first.signal,
        first.nodes,
        first.source,
        tuple(tasks),
    )
