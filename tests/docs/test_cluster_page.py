"""The page on clusters: its commands print what it says, on a private Slurm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks_of
from tests.docs.shell import run_page
from tests.slurm.cluster import Cluster

PAGE = ROOT / "docs" / "cluster.md"


@pytest.mark.root
@pytest.mark.xdist_group("slurm")
def test_commands_print_what_the_page_says(tmp_path: Path, slurm: Cluster) -> None:
    run_page(blocks_of(PAGE), tmp_path, slurm.environment)
