from pathlib import Path

from .harness import run_stage


def test_the_exit_status_is_the_one_asked_for(tree: Path) -> None:
    ended = run_stage("error", tree, {"returncode": 3})
    assert ended.status == 3
    assert "3" in ended.log


def test_the_default_is_255(tree: Path) -> None:
    assert run_stage("error", tree).status == 255
