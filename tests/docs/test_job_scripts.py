"""The page on job scripts: its commands print what it says, on a real Slurm; its tables are what the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from osbuild_core.cli.job_targets import STATUSES
from osbuild_core.exports.jobs.scripts.questions import KINDS
from osbuild_core.exports.jobs.scripts.template import _KEYS
from osbuild_core.exports.jobs.slurm.states import MEANINGS, JobState
from tests.docs.pages import ROOT, blocks_of
from tests.docs.shell import run_page
from tests.slurm.cluster import Cluster

PAGE = ROOT / "docs" / "job-scripts.md"


def section(title: str) -> str:
    text = PAGE.read_text()
    part = text[text.index(f"\n## {title}\n") + 1 :]
    return part[: part.index("\n## ")]


@pytest.mark.root
@pytest.mark.xdist_group("slurm")
def test_commands_print_what_the_page_says(slurm: Cluster, tmp_path: Path) -> None:
    run_page(blocks_of(PAGE), tmp_path, slurm.environment)


def test_every_state_is_in_its_row() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d) \| ([A-Z_, ]+) \|$", section("How jobs end"), re.MULTILINE)
    assert {state: int(status) for state, status, _ in rows} == {
        state.value: status for state, status in STATUSES.items()
    }
    for state, _, words in rows:
        known = {word for word, meaning in MEANINGS.items() if meaning.state is JobState(state)}
        # An older name of REQUEUED.
        assert set(words.split(", ")) == known - {"REQUEUE"}


def test_every_key_and_type_is_on_it() -> None:
    keys = re.findall(r"^\| `([\w-]+)` \|", section("The folder"), re.MULTILINE)
    assert sorted(keys) == sorted(_KEYS)
    cells = re.findall(r"^\| (`[^|]*) \|", section("Questions"), re.MULTILINE)
    assert sorted(word for cell in cells for word in re.findall(r"`([\w-]+)`", cell)) == sorted(KINDS)
