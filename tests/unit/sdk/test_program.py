import importlib
import os
import signal
from pathlib import Path
from types import ModuleType

import pytest

SDK = Path(__file__).resolve().parents[3] / "osbuild_core" / "sdk"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SDK))
    return importlib.import_module("osbuild.util.program")


def test_output_comes_in_order(program: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    print("before", flush=True)
    program.run(["echo", "one two", "$HOME"])
    print("after", flush=True)
    assert capfd.readouterr().out == "before\none two $HOME\nafter\n"


def test_variables_are_added(program: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    program.run(["sh", "-c", 'echo "$NEW"; test -n "$PATH"'], env={"NEW": "value"})
    assert capfd.readouterr().out == "value\n"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["false"], "false failed with exit status 1"),
        (["sh", "-c", "exit 127"], "sh failed with exit status 127"),
        (["sh", "-c", "kill -9 $$"], f"sh was ended by signal {int(signal.SIGKILL)}"),
        (["no-such-program"], "cannot run no-such-program of the build root: No such file or directory"),
        (["/etc/passwd"], "cannot run /etc/passwd of the build root: Permission denied"),
    ],
)
def test_what_goes_wrong_is_said(program: ModuleType, argv: list[str], said: str) -> None:
    with pytest.raises(program.ProgramError) as caught:
        program.run(argv)
    assert str(caught.value) == said


def test_a_pipeline_ends_with_its_reader(program: ModuleType) -> None:
    program.run(["sh", "-c", "set -e; yes | head -n 1 > /dev/null"])


def test_files_take_the_place_of_input_and_output(program: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("content")
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as target:
        program.run(["tr", "c", "C"], stdin=source, stdout=target.fileno())
    assert (tmp_path / "out").read_text() == "Content"


def test_programs_run_beside_each_other(program: ModuleType, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader = program.start(["sh", "-c", 'test "$(cat "$0")" = met', str(tmp_path / "fifo")])
    writer = program.start(["sh", "-c", 'echo met > "$0"; exit 3', str(tmp_path / "fifo")])
    reader.wait()
    with pytest.raises(program.ProgramError, match="sh failed with exit status 3"):
        writer.wait()


def test_nothing_is_left_open(program: ModuleType) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    program.run(["true"])
    with pytest.raises(program.ProgramError):
        program.run(["no-such-program"])
    assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: chroot")
def test_a_tree_has_its_own_programs(program: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(program.ProgramError, match="cannot run true of the tree: No such file"):
        program.run(["true"], root=str(tmp_path))
    # A file in /sbin only is found as well: older trees have it apart from /usr.
    (tmp_path / "sbin").mkdir()
    (tmp_path / "sbin/tool").write_text("not for this machine")
    (tmp_path / "sbin/tool").chmod(0o755)
    with pytest.raises(program.ProgramError, match="cannot run tool of the tree: Exec format error"):
        program.run(["tool"], root=str(tmp_path))
