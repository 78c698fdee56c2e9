import subprocess
from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse


def options(filename: str, command: str = 'echo "it\'s $((1 + 1))"') -> dict[str, object]:
    return {"filename": filename, "interval": "daily", "simple": {"command": command}}


def test_the_script_runs(tree: Path) -> None:
    simple = {"command": 'echo "it\'s $((1 + 1))"', "comment": ["Made\nto test", "it"]}
    apply("cron.script", tree, {"filename": "x", "interval": "monthly", "simple": simple})
    path = tree / "etc/cron.monthly/x"
    assert mode_of(path) == 0o755
    assert path.read_text().splitlines()[1:4] == ["# Made", "# to test", "# it"]
    assert subprocess.run([path], stdout=subprocess.PIPE, text=True, check=True).stdout == "it's 2\n"


def test_a_name_that_debian_passes_over(tree: Path) -> None:
    apply("cron.script", tree, options("backup.sh"))
    (tree / "etc/debian_version").write_text("12.5\n")
    assert "no script with a dot" in refuse("cron.script", tree, options("other.sh"))
    apply("cron.script", tree, options("other"))
    assert sorted(path.name for path in (tree / "etc/cron.daily").iterdir()) == ["backup.sh", "other"]


@pytest.mark.parametrize(("filename", "command"), [("x", "echo\nrm -rf /"), (".", "echo"), ("x\n", "echo")])
def test_what_cannot_be(tree: Path, filename: str, command: str) -> None:
    refuse("cron.script", tree, options(filename, command))
    assert list(tree.iterdir()) == []
