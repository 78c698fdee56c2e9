"""The argument vector of osbuild."""

from __future__ import annotations

from pathlib import Path

import pytest

from osbuild_core.cli.osbuild_arguments import parse


def parsed(*argv):
    return parse(argv, pytest.fail)


def test_defaults():
    found = vars(parsed("-"))
    assert found == {
        "manifest": "-",
        "store": Path(".osbuild"),
        "libdir": None,
        "cache_max_size": None,
        "checkpoint": [],
        "export": [],
        "in_vm": [],
        "json": False,
        "output_directory": None,
        "inspect": False,
        "monitor": None,
        "monitor_fd": None,
        "stage_timeout": None,
        "pause": None,
        "rundir": None,
        "quiet": False,
    }


def test_all_that_there_is():
    found = parsed(
        *("--store", "s", "-l", "/l", "--cache-max-size=20GiB", "--checkpoint", "a", "--checkpoint=b"),
        *("--export", "c", "--export", "d", "--in-vm", "e", "--json", "--output-directory", "o", "--inspect"),
        *(
            "--monitor=JSONSeqMonitor",
            "--monitor-fd",
            "3",
            "--stage-timeout",
            "7",
            "--rundir",
            "/r",
            "-q",
            "-",
        ),
        "--break",
    )
    assert (found.store, found.output_directory) == (Path.cwd() / "s", Path.cwd() / "o")
    assert (found.libdir, found.cache_max_size) == (Path("/l"), 20 << 30)
    assert (found.checkpoint, found.export, found.in_vm) == (["a", "b"], ["c", "d"], ["e"])
    assert (found.monitor, found.monitor_fd, found.stage_timeout) == ("JSONSeqMonitor", 3, 7)
    assert (found.pause, found.rundir) == ("*", "/r")
    assert found.json and found.inspect and found.quiet


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (["--out", "/o"], "output_directory", Path("/o")),
        (["--output-dir=/o"], "output_directory", Path("/o")),
        (["--cache", "/c"], "store", Path("/c")),
        (["--exp", "x"], "export", ["x"]),
        (["--che", "x"], "checkpoint", ["x"]),
        (["--q"], "quiet", True),
        (["--ins"], "inspect", True),
        (["--break=x"], "pause", "x"),
        (["--cache-max-size", "unlimited"], "cache_max_size", None),
        (["--cache-max-size=21474836480"], "cache_max_size", 21474836480),
    ],
)
def test_other_ways_to_say_it(argv, name, value):
    assert getattr(parsed(*argv, "-"), name) == value


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["-", "-"],
        ["--monitor=Own", "-"],
        ["--in", "p", "-"],
        ["--monitor-fd=-1", "-"],
        ["--st", "1", "-"],
    ],
)
def test_what_is_wrong_is_told_first(argv, capsys):
    told = []
    with pytest.raises(SystemExit) as caught:
        parse(argv, told.append)
    assert caught.value.code == 2
    assert len(told) == 1 and told[0] in capsys.readouterr().err


def test_the_version(capsys):
    with pytest.raises(SystemExit) as caught:
        parse(["--version"], pytest.fail)
    assert caught.value.code == 0
    assert capsys.readouterr().out == "osbuild 191\n"
