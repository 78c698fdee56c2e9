import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Sdk = Callable[[str], Any]

VALUES = [
    "plain",
    "",
    "two words",
    "it's",
    'say "hi"',
    "$HOME",
    "`id`",
    "\\",
    "a\\b\\",
    "#x",
    "~",
    "a;b",
    "*",
    "ü",
]


def test_quotes_only_where_they_are_needed(sdk: Sdk) -> None:
    assignments = sdk("util.assignments")
    assert assignments.assign("A", "de-latin1") == "A=de-latin1"
    assert assignments.assign("A", "a b") == 'A="a b"'
    assert assignments.quote_always("plain") == '"plain"'


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_shells_read_the_values_back(sdk: Sdk, tmp_path: Path, shell: str) -> None:
    variables = {f"V{number}": value for number, value in enumerate(VALUES)}
    path = tmp_path / "file"
    path.write_text(sdk("util.assignments").format_assignments(variables))
    script = f'. "{path}"; printf "%s\\n" ' + " ".join(f'"${name}"' for name in variables)
    result = subprocess.run([shell, "-ec", script], stdout=subprocess.PIPE, text=True, check=True)
    assert result.stdout.split("\n")[:-1] == VALUES


def test_a_value_is_one_line(sdk: Sdk) -> None:
    with pytest.raises(ValueError, match="A has to be one line"):
        sdk("util.assignments").format_assignments({"A": "x\nB=y"})


def test_a_change_in_place(sdk: Sdk) -> None:
    text = "# A=comment\nA=1\n B = 2\nA=3\n\nno assignment"
    changed = sdk("util.assignments").change(text, {"B": "x y", "A": "4", "C": "5"})
    assert changed == '# A=comment\nA=4\nB="x y"\n\nno assignment\nC=5\n'
    assert sdk("util.assignments").change("", {"A": "1"}) == "A=1\n"
