"""Small pieces of text: tables, ages, paths, what an object is, what --debug may write."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.cli.core import split_debug
from osbuild_core.cli.debug import Debug, redacted
from osbuild_core.cli.diff import line, summary
from osbuild_core.cli.lines import on_one_line
from osbuild_core.cli.modules import folder
from osbuild_core.cli.options import parse_age
from osbuild_core.cli.skeleton import parse_module, skeleton
from osbuild_core.cli.store import age, what
from osbuild_core.cli.table import table
from osbuild_core.model import events
from osbuild_core.model.errors import UsageError
from osbuild_core.model.results import Failure, StageResult
from osbuild_core.store.difference import Difference
from osbuild_core.store.lookup import is_short, matching
from osbuild_core.store.object import ObjectInfo


def test_columns() -> None:
    rows = [["a", "1", "first"], ["long", "10", "second and more"]]
    assert list(table(["N", "#", "WHAT"], rows, right=frozenset({1}))) == [
        "N      #  WHAT",
        "a      1  first",
        "long  10  second and more",
    ]
    assert list(table([], rows, width=22))[1] == "long  10  second and …"
    assert list(table([], rows, width=16))[1:] == ["long  10", "    second and more"]
    assert list(table([], [])) == []


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1.5h", 5400), ("7d", 604800), ("2 w", 1209600), ("30m", 1800)]
)
def test_ages(text: str, seconds: float) -> None:
    assert parse_age(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "7 days", "1e3s"])
def test_what_is_no_age(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_age(text)
    assert caught.value.code == "usage.age"


def test_how_long_ago() -> None:
    times = (-5, 0, 119, 120, 7199, 7200, 2 * 86400, 14 * 86400)
    assert [age(seconds) for seconds in times] == ["0s", "0s", "119s", "2m", "119m", "2h", "2d", "2w"]


def test_paths_stay_on_their_line() -> None:
    assert on_one_line("/a b/ü") == "/a b/ü"
    assert on_one_line("a\nb\\n\x1b" + os.fsdecode(b"\xff")) == "a\\nb\\\\n\\x1b\\udcff"


def test_differences_as_lines() -> None:
    old = {"mode": "0644", "owner": "0:0", "content": 3, "xattrs": {"user.a": b"1", "user.b": b"2"}}
    new = {"mode": "4755", "owner": "5:0", "content": 4, "xattrs": {"user.a": b"1", "user.c": b"2"}}
    changed = Difference("changed", "/a", "file", ("content", "mode", "owner", "xattrs"), old, new)
    assert line(changed) == (
        "~ /a: content (3 -> 4 bytes), mode 0644 -> 4755, owner 0:0 -> 5:0, xattrs user.b user.c"
    )
    other = Difference(
        "changed",
        "/l",
        "link",
        ("target", "mtime"),
        {"target": "a\n", "mtime": 1},
        {"target": "b", "mtime": 2},
    )
    assert line(other) == "~ /l: target a\\n -> b, mtime 0.000000001 -> 0.000000002"
    assert line(Difference("added", "/d", "directory")) == "+ /d/"
    assert summary([changed, other, Difference("removed", "/x", "file")]) == "1 removed, 2 changed"


def info(key: str, **document: Any) -> ObjectInfo:
    return ObjectInfo(key, None, 1, "overlay", 0, 0, document, Path("/"), "serial")


def test_what_an_object_is() -> None:
    stages = [{"type": "org.osbuild.a", "id": "1"}, {"type": "org.osbuild.b", "id": "2"}]
    assert what(info("k", pipeline="tree", stages=stages)) == "tree: b"
    assert what(info("k", stages=stages)) == "b"
    assert what(info("k", runner="org.osbuild.debian")) == "build root (debian)"
    assert what(info("k", stages="broken")) == what(info("k")) == ""


def test_objects_by_what_they_are_called() -> None:
    def stage(id_: str) -> dict[str, Any]:
        return {"stages": [{"id": id_ * 64}]}

    infos = [info("a" * 64, **stage("1")), info("ab" * 32, **stage("1")), info("c" * 64, **stage("a"))]
    assert matching(infos, "ab" * 4) == infos[1:2]
    assert matching(infos, "1" * 8) == infos[:2]
    # A whole key wins over an id.
    assert matching(infos, "a" * 64) == infos[:1]
    assert matching(infos, "aaaaaa") == [infos[0], infos[2]]
    assert matching(infos, "0" * 8) == []
    assert is_short("abcdef") and is_short("0" * 64)
    assert not any(map(is_short, ["abcde", "0" * 65, "ABCDEF", "xyzxyz", ""]))


def test_the_debug_option_stands_anywhere_before_two_dashes() -> None:
    assert split_debug(["build", "m"]) == (["build", "m"], None)
    assert split_debug(["--debug", "build", "m"]) == (["build", "m"], "")
    assert split_debug(["build", "--debug=f=g", "m"]) == (["build", "m"], "f=g")
    assert split_debug(["build", "--", "--debug"]) == (["build", "--", "--debug"], None)
    assert split_debug(["build", "--debugger"]) == (["build", "--debugger"], None)


def test_addresses_lose_their_secrets() -> None:
    text = "GET https://me:secret@host/a@b and http://host/x, git+ssh://key@h"
    assert redacted(text) == "GET https://[hidden]@host/a@b and http://host/x, git+ssh://[hidden]@h"


def test_events_as_debug_lines() -> None:
    out = io.StringIO()
    debug = Debug(out)
    debug(events.ProgramStarted(1, ("/usr/bin/x", "a b")))
    debug(events.ProgramEnded(1, -9))
    debug(events.StageStarted("os", 0, "org.osbuild.x", "id"))
    debug(events.StageOutput("os", 0, "a secret"))
    failed = StageResult(
        "os", 0, "org.osbuild.x", "id", False, seconds=1.5, error=Failure("stage.exit", "why")
    )
    debug(events.StageFinished(failed))
    debug(events.Warned("two\nlines"))
    lines = [text.split("] ", 1)[1] for text in out.getvalue().splitlines()]
    assert lines[0] == "program 1: /usr/bin/x 'a b'"
    assert lines[1].startswith("program 1 ended after 0.") and lines[1].endswith(" with status -9")
    assert lines[2:] == [
        "stage os[0] org.osbuild.x (id)",
        "stage os[0] ended after 1.500 s: failed (stage.exit)",
        "warning: two",
        "lines",
    ]


def test_kinds_of_modules() -> None:
    assert folder("stage") == folder("stages") == "stages"
    assert folder("stagess") is None
    assert parse_module("inputs/a.b-c") == ("input", "a.b-c")
    files = skeleton("device", "com.example.x")
    assert list(files) == [
        "devices/com.example.x",
        "devices/com.example.x.meta.json",
        "tests/test_device_com_example_x.py",
    ]
    assert not any("@" in text.replace("@pytest", "") for text in files.values())
