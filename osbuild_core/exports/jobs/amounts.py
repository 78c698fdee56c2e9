"""How many tasks of a step this host can run at once: by what they need of it, and what there is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from osbuild_core.exports.jobs.job import Step

VCPU = "amount.worker.vcpu"
MEMORY = "amount.worker.memory"


class Slots(NamedTuple):
    """``at_once`` tasks at once; ``lacking`` says what there is not even for one, which runs all the same."""

    at_once: int
    lacking: tuple[str, ...] = ()


def host_amounts() -> dict[str, Decimal]:
    """Return what there is: processors that we may use, memory in MiB."""
    found = {VCPU: Decimal(len(os.sched_getaffinity(0)))}
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    if pages > 0 and size > 0:
        found[MEMORY] = Decimal(pages * size >> 20)
    return found


def slots(step: Step, jobs: int, amounts: Mapping[str, Decimal]) -> Slots:
    """Return how many tasks of ``step`` run at once, at most ``jobs``."""
    count = jobs
    lacking = []
    for amount in step.hostRequirements.amounts if step.hostRequirements is not None else ():
        there, least = amounts.get(amount.name.lower()), amount.min
        if there is None or not least:
            continue
        fits = int(there / least)
        if fits < 1:
            lacking.append(f"{amount.name.lower()} of {least} is needed, and {there} is there")
        count = min(count, fits)
    return Slots(max(count, 1), tuple(lacking))
