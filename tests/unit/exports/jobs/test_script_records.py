"""What is remembered of submitted scripts, and how it is found again."""

from __future__ import annotations

from pathlib import Path

import pytest

from osbuild_core.exports.jobs.scripts.record import SubmittedJob, find, record_of, remember, submissions
from osbuild_core.model.errors import OsbuildError, UsageError


def test_submissions_are_found_by_script_folder_and_record(tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    first, second = (
        SubmittedJob("1", "2026-11-27T06:00:00"),
        SubmittedJob("2", "", array="1-2", user="nobody"),
    )
    remember(script, first)
    remember(script, second)
    for target in (script, tmp_path, record_of(script)):
        assert find(str(target)) == (script, [first, second])
    assert [path.name for path in tmp_path.iterdir()] == ["job.sh.jobs.json"]


@pytest.mark.parametrize(
    "content", ["", "[]", '{"version": 1}', '{"version": 2}', '{"version": 1, "submissions": [{"x": 1}]}']
)
def test_records_that_are_none(tmp_path: Path, content: str) -> None:
    record_of(tmp_path / "job.sh").write_text(content)
    with pytest.raises(UsageError) as caught:
        submissions(tmp_path / "job.sh")
    assert caught.value.code == "usage.job"


def test_nothing_and_too_much_to_find(tmp_path: Path) -> None:
    for target in (tmp_path, tmp_path / "job.sh"):
        with pytest.raises(UsageError):
            find(str(target))
    for name in ("a", "b"):
        remember(tmp_path / name, SubmittedJob("1", ""))
    with pytest.raises(UsageError, match="more than one"):
        find(str(tmp_path))


def test_a_job_that_cannot_be_remembered_is_named(tmp_path: Path) -> None:
    with pytest.raises(OsbuildError, match="job 7 is submitted"):
        remember(tmp_path / "gone" / "job.sh", SubmittedJob("7", ""))
