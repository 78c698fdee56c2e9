"""The small template of docs/templates.md builds as it stands there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks_of

from .debian import build, command

pytestmark = [pytest.mark.root, pytest.mark.slow]


def test_the_first_template_of_the_page_builds(tmp_path: Path) -> None:
    text = next(block.text for block in blocks_of(ROOT / "docs/templates.md") if block.language == "yaml")
    template, manifest = tmp_path / "small.yaml", tmp_path / "small.json"
    template.write_text(text)
    done = command(tmp_path, "resolve", template, "-D", "hostname=small", "-o", manifest)
    if "no apt entry serves the suite" in done.stderr:
        pytest.skip("no apt entry of this machine serves the template's suite")
    assert done.returncode == 0, done.stderr
    tree = build(tmp_path, manifest, tmp_path / "store", "tree") / "tree"
    assert (tree / "etc/hostname").read_text() == "small\n"
    assert (tree / "usr/sbin/init").is_symlink()
