from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse

PATH = "/etc/udev/rules.d/68-x.rules"


def options(*rules: object) -> dict[str, object]:
    return {"filename": PATH, "rules": list(rules)}


def item(key: object, op: str, val: str) -> dict[str, object]:
    return {"key": key, "op": op, "val": val}


def test_the_file(tree: Path) -> None:
    rules = [
        {"comment": ["What it is for.", "More\nof it", ""]},
        [
            item("SUBSYSTEM", "==", "net"),
            item({"name": "ACTION"}, "!=", "remove"),
            item({"name": "ATTR", "arg": "power/control"}, "=", "on"),
            item({"name": "ENV", "arg": "X"}, "+=", 'say "hi" \\n'),
        ],
        [item("TAG", "+=", "systemd")],
    ]
    apply("udev.rules", tree, options(*rules))
    path = tree / PATH.lstrip("/")
    assert path.read_text() == (
        "# What it is for.\n# More\n# of it\n#\n"
        'SUBSYSTEM=="net", ACTION!="remove", ATTR{power/control}="on", ENV{X}+="say \\"hi\\" \\n"\n'
        'TAG+="systemd"\n'
    )
    assert mode_of(path) == 0o644


@pytest.mark.parametrize(
    "one",
    [
        item("TAG", "+=", 'x"\nRUN{program}+="/evil'),
        item("TAG", "+=", "x\\"),
        item("TAG", "+=", "x\\\\"),
        item({"name": "ENV", "arg": 'X}="1", RUN{program'}, "+=", "/evil"),
        item({"name": "ENV", "arg": "X\n"}, "=", "1"),
    ],
)
def test_a_rule_cannot_be_two(tree: Path, one: dict[str, object]) -> None:
    refuse("udev.rules", tree, options([one]))
    assert list(tree.iterdir()) == []


def test_the_path_stays_in_the_tree(tree: Path, tmp_path: Path) -> None:
    apply("udev.rules", tree, {"filename": "/../../x.rules", "rules": []})
    assert (tree / "x.rules").exists()
    assert not (tmp_path / "x.rules").exists()
