import subprocess
from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse


def options(**variables: str) -> dict[str, object]:
    return {"files": {"x.sh": {"env": [{"key": key, "value": value} for key, value in variables.items()]}}}


def exported(tree: Path, name: str, shell: str = "sh") -> str:
    script = f'. "{tree}/etc/profile.d/x.sh"; printenv {name}'
    return subprocess.run(
        [shell, "-ec", script],
        stdout=subprocess.PIPE,
        env={"HOME": "/h", "PATH": "/bin"},
        text=True,
        check=True,
    ).stdout.removesuffix("\n")


def test_files(tree: Path) -> None:
    files = {
        "a": {"env": [{"key": "VAR", "value": "val"}]},
        "b.2": {"env": [{"key": "ONE", "value": "1"}, {"key": "TWO", "value": ""}]},
    }
    apply("shell.init", tree, {"files": files})
    assert (tree / "etc/profile.d/a").read_text() == 'export VAR="val"\n'
    assert (tree / "etc/profile.d/b.2").read_text() == 'export ONE="1"\nexport TWO=""\n'
    assert mode_of(tree / "etc/profile.d/a") == 0o644


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a  b", "a  b"),
        ("$HOME/x", "/h/x"),
        ("${new:+${new}:}${NONE:-/usr/share}", "/usr/share"),
        ("\\$HOME", "$HOME"),
        ('say "hi" `id`', 'say "hi" `id`'),
        ("C:\\dir\\", "C:\\dir\\"),
        ('\\"; X=1 "', '\\"; X=1 "'),
        ("it's", "it's"),
    ],
)
def test_what_the_shell_makes_of_it(tree: Path, value: str, expected: str, shell: str) -> None:
    apply("shell.init", tree, options(VAR=value))
    assert exported(tree, "VAR", shell) == expected


@pytest.mark.parametrize("broken", [{"VAR": 'x"\nrm -rf /'}, {"VAR\nrm": "x"}])
def test_a_value_cannot_bring_another_line(tree: Path, broken: dict[str, str]) -> None:
    assert "has to be one line" in refuse("shell.init", tree, options(**broken))
    assert list(tree.iterdir()) == []
