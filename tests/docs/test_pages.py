"""The documentation tells the truth: links lead somewhere, examples parse, commands print what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.docs.pages import PAGES, ROOT, anchors_of, blocks_of, links_of, name_of
from tests.docs.shell import RUN, matches, run_page

NOT_RUN = {"README.md": 2, "docs/ci.md": 2, "docs/jobs.md": 1}
"""How many shell blocks of a page are not run; each says why on the page."""

WITH_SERVICES = {"docs/ami.md", "docs/cluster.md", "docs/job-scripts.md"}
"""Pages whose commands need a service; a test of their own runs them."""

SESSIONS = [
    page
    for page in PAGES
    if any(block.language in RUN for block in blocks_of(page)) and name_of(page) not in WITH_SERVICES
]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_anchors_hold(page: Path) -> None:
    for link in links_of(page):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors_of(target), link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_data_parses(page: Path) -> None:
    for block in blocks_of(page):
        try:
            if block.language == "json":
                block.document()
            elif block.language == "yaml":
                list(yaml.safe_load_all(block.text))
            elif block.language == "python":
                compile(block.text, block.place, "exec")
        except (ValueError, SyntaxError, yaml.YAMLError) as error:
            pytest.fail(f"{block.place}: {error}")
        assert not (block.language == "text" and block.text.startswith("$ ")), block.place


@pytest.mark.root
@pytest.mark.parametrize("page", SESSIONS, ids=name_of)
def test_commands_print_what_the_page_says(page: Path, tmp_path: Path) -> None:
    run_page(blocks_of(page), tmp_path)


def test_what_is_not_run_is_listed_here() -> None:
    found: dict[str, int] = {}
    for page in PAGES:
        for block in blocks_of(page):
            if "not run" in block.markers:
                assert block.language in RUN, block.place
                found[name_of(page)] = found.get(name_of(page), 0) + 1
    assert found == NOT_RUN


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\nb\n", "a\nc\n", False),
        ("a\n", "a\nb\n", False),
        ("", "a\n", False),
        ("a ... z\n", "a b c z\n", True),
        ("a ... z\n", "a b\nc z\n", False),
        ("a\n...\nz\n", "a\nb\nc\nz\n", True),
        ("a\n...\nz\n", "a\nz\n", True),
        ("a\n...\n", "b\n", False),
        ("done in 0.1 s\n", "done in 12.9 s\n", True),
        ("done in 0.1 s: 3\n", "done in 0.1 s: 4\n", False),
        ("no newline at the end\n", "no newline at the end", True),
    ],
)
def test_how_output_is_compared(expected: str, printed: str, same: bool) -> None:
    assert matches(expected, printed) is same
