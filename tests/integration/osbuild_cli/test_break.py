"""--break: a shell in the sandbox of a stage before it runs."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess

import pytest

from tests.integration.engine.conftest import OSBUILD, eventually
from tests.integration.osbuild_cli import clientparser
from tests.integration.osbuild_cli.conftest import mkdir

pytestmark = pytest.mark.root


def command(bench, *arguments):
    """Return a call that breaks before the second stage, which lists the tree."""
    bench.add_stage("org.osbuild.look", "print('the stage sees', sorted(os.listdir(args['tree'])))")
    path = bench.manifest({"name": "p", "stages": [mkdir("a"), {"type": "org.osbuild.look"}, mkdir("b")]})
    own = ("--store", bench.store, "--libdir", bench.library, "--output-directory", bench.out)
    return [str(word) for word in (OSBUILD, *own, "--export", "p", *arguments, path)]


def shell(bench, script, *arguments):
    return subprocess.run(
        command(bench, *arguments), input=script, capture_output=True, text=True, env=bench.environment
    )


LOOK = "--break=org.osbuild.look"


def test_a_script_on_standard_input(bench):
    done = shell(bench, "touch /run/osbuild/tree/new\necho shell says $PYTHONPATH\nexit 7\n", LOOK)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    shown, seen = said.index("shell says /run/osbuild/lib"), said.index("the stage sees ['a', 'new']")
    assert shown < seen
    assert sorted(path.name for path in (bench.out / "p").iterdir()) == ["a", "b", "new"]
    assert bench.leftovers() == []


def test_what_somebody_tried_out_is_not_found_again(bench):
    shell(bench, "", LOOK)
    shell(bench, "touch /run/osbuild/tree/new\n", LOOK)
    # It breaks again, although all of it was built before.
    again = shell(bench, "echo once more\n", LOOK)
    assert "once more" in again.stdout and "['a']" in again.stdout
    result = clientparser.result(shell(bench, "", "--json").stdout)
    # Of the first stage there is no entry: it was stored.
    assert result.log["p"][0].output.endswith("the stage sees ['a']\n")


def test_every_stage_and_one_by_its_id(bench):
    done = shell(bench, "ls /run/osbuild/bin\nexit\n" * 3, "--break", "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["org.osbuild.mkdir", "org.osbuild.look", "org.osbuild.mkdir"]
    result = clientparser.result(shell(bench, "", "--json").stdout)
    ids = [stage.id for stage in result.log["p"]]
    done = shell(bench, "ls /run/osbuild/bin\n", "--break", ids[-1])
    assert "\norg.osbuild.mkdir\n" in done.stdout


def test_with_json_the_document_is_alone_on_standard_output(bench):
    done = shell(bench, "echo from the shell\n", LOOK, "--json")
    assert clientparser.result(done.stdout).success
    assert "from the shell" in done.stderr


class Terminal:
    """A terminal with osbuild on it."""

    def __init__(self, bench, *arguments):
        self.near, far = pty.openpty()
        self.process = subprocess.Popen(
            command(bench, *arguments),
            stdin=far,
            stdout=far,
            stderr=far,
            env={**bench.environment, "TERM": "dumb"},
            start_new_session=True,
        )
        bench.started.append(self.process)
        os.close(far)
        os.set_blocking(self.near, False)
        self.shown = ""

    def type(self, text):
        os.write(self.near, text.encode())

    def shows(self, text):
        """Wait until ``text`` is there, below what was waited for before."""

        def there():
            # Nothing is there yet, or everybody has gone.
            with contextlib.suppress(OSError):
                self.shown += os.read(self.near, 65536).decode()
            return text in self.shown

        assert eventually(there), self.shown
        self.shown = self.shown.partition(text)[2]


def test_a_terminal(bench):
    terminal = Terminal(bench, LOOK)
    # What is typed is shown, too: so it has to differ from what is waited for.
    terminal.type("[ -t 0 ] && [ -t 2 ] && echo is''here; cd /run/osbuild/tree\n")
    terminal.shows("ishere")
    # Ctrl-C ends what the shell runs, and neither it nor the build.
    terminal.type("sh -c \"echo go''ing; exec sleep 3600\"; echo never\n")
    terminal.shows("going")
    terminal.type("\x03")
    terminal.type("touch new; exit\n")
    terminal.shows("the stage sees ['a', 'new']")
    terminal.shows("finished successfully")
    assert terminal.process.wait(60) == 0
    assert bench.leftovers() == []


def test_a_signal_ends_the_shell_too(bench):
    terminal = Terminal(bench, LOOK)
    terminal.type("echo is''here\n")
    terminal.shows("ishere")
    terminal.process.terminate()
    terminal.shows("Terminated")
    assert terminal.process.wait(60) == 143
    assert bench.leftovers() == []
