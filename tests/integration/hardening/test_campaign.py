"""A build that is ended at a seeded random moment, again and again: the store stays right, nothing is left.

Each round aims at a phase, which the build itself or the store shows, and that it was hit is counted.
"""

from __future__ import annotations

import os
import signal

import pytest

from tests.integration.engine.conftest import Bench
from tests.integration.hardening.campaign import Campaign
from tests.modules.sources.web import Web

pytestmark = [pytest.mark.root, pytest.mark.slow]

PHASES = ("download", "stage", "mounted", "commit", "export")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
SOAK_ROUNDS = 100


# Each on a worker of its own: none shares anything with another.
@pytest.mark.parametrize(
    "number",
    [pytest.param(n, marks=pytest.mark.xdist_group(f"campaign {n.name}"), id=n.name) for n in SIGNALS],
)
def test_ended_in_every_phase(bench: Bench, web: Web, number: signal.Signals) -> None:
    campaign = Campaign(bench, web, seed=number)
    campaign.learn()
    for phase in PHASES:
        campaign.hit(number, phase)
    for backend in ("overlay", "copy"):
        campaign.round(number, None, backend)


@pytest.mark.soak
@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
def test_ended_anywhere_many_times(bench: Bench, web: Web, number: signal.Signals) -> None:
    seed = int(os.environ.get("OSBUILD_CORE_SEED", 1000 + number))
    campaign = Campaign(bench, web, seed)
    campaign.learn()
    for count in range(SOAK_ROUNDS):
        phase = (*PHASES, None, None)[count % 7]
        backend = campaign.random.choice(["overlay", "overlay", "copy"]) if phase != "commit" else "overlay"
        campaign.round(number, phase, backend)
    print(f"{number.name}, seed {seed}: hits {dict(campaign.hits)}, ends {dict(campaign.ended)}")
    assert all(campaign.hits[phase] >= SOAK_ROUNDS // 20 for phase in PHASES), campaign.hits
