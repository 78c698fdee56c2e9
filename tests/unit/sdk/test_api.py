import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.protocol.stage_api import ExceptionSocket

SDK = Path(__file__).resolve().parents[3] / "osbuild_core" / "sdk"


def run(script: str, *binds: tuple[Path, str]) -> "subprocess.CompletedProcess[str]":
    """Run a Python script as a stage is run: with ``binds`` at their places below /run/osbuild."""
    command = ["bwrap", "--dev-bind", "/", "/", "--tmpfs", "/run", "--ro-bind", str(SDK), "/run/osbuild/lib"]
    for source, target in binds:
        command += ["--bind", str(source), f"/run/osbuild/{target}"]
    command += ["--setenv", "PYTHONPATH", "/run/osbuild/lib", "/usr/bin/python3", "-c", script]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    "document",
    [
        {"tree": "/run/osbuild/tree", "options": {"a": [1, -2.5e3, True, None, 'grüße "\\\n\u2028', {}]}},
        {"options": {"big": 2**70, "nested": [[[[]]]]}},
    ],
)
def test_arguments_are_read(document: dict[str, Any], tmp_path: Path, sdk: Callable[[str], Any]) -> None:
    path = tmp_path / "arguments"
    for text in (json.dumps(document), json.dumps(document, ensure_ascii=False, indent=4) + "\n"):
        path.write_text(text, encoding="utf-8")
        assert sdk("api").arguments(str(path)) == document


@pytest.mark.parametrize("text", ["", " ", "{", '{"a": 1} {}', "nothing", '{"a": "\n"}', "[1,]"])
def test_what_is_no_json_is_refused(text: str, tmp_path: Path, sdk: Callable[[str], Any]) -> None:
    path = tmp_path / "arguments"
    path.write_text(text)
    with pytest.raises(ValueError):
        sdk("api").arguments(str(path))


@pytest.fixture(autouse=True)
def own_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the hook that ``arguments`` installs from outliving the test."""
    import sys

    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


def test_a_stage_does_not_pay_for_what_it_does_not_use(tmp_path: Path) -> None:
    script = "import sys, osbuild.api; osbuild.api.arguments(); print(*sys.modules)"
    (tmp_path / "arguments").write_text("{}")
    ended = run(script, (tmp_path / "arguments", "api/arguments"))
    assert ended.returncode == 0
    loaded = set(ended.stdout.split())
    assert loaded.isdisjoint(
        {"json", "re", "enum", "socket", "traceback", "typing", "contextlib", "subprocess"}
    )


def test_metadata_is_written_and_replaced(tmp_path: Path, sdk: Callable[[str], Any]) -> None:
    path = str(tmp_path / "meta")
    sdk("api").metadata({"packages": ["a" * 1000]}, path)
    sdk("api").metadata({"packages": []}, path)
    assert json.loads(Path(path).read_text()) == {"packages": []}


def test_an_uncaught_exception_reaches_the_engine(tmp_path: Path) -> None:
    (tmp_path / "arguments").write_text("{}")
    script = "import osbuild.api\nosbuild.api.arguments()\nprint('first')\n"
    script += "def f():\n    raise ValueError('too big')\nf()"
    with ExceptionSocket(tmp_path / "socket") as api:
        ended = run(script, (tmp_path / "arguments", "api/arguments"), (tmp_path / "socket", "api/osbuild"))
        found = api.collect()
    assert ended.returncode == 2
    assert ended.stdout == "first\n"
    assert ended.stderr.endswith("ValueError: too big\n")
    assert found is not None
    assert (found.type, found.value) == ("ValueError", "too big")
    assert "in f\n" in found.traceback


@pytest.mark.parametrize(
    ("end", "status"), [("sys.exit(3)", 3), ("sys.exit('text')", 1), ("raise KeyboardInterrupt", -2)]
)
def test_other_ends_are_not_exceptions(end: str, status: int, tmp_path: Path) -> None:
    (tmp_path / "arguments").write_text("{}")
    script = f"import sys, osbuild.api\nosbuild.api.arguments()\n{end}"
    with ExceptionSocket(tmp_path / "socket") as api:
        ended = run(script, (tmp_path / "arguments", "api/arguments"), (tmp_path / "socket", "api/osbuild"))
        assert api.collect() is None
    assert ended.returncode in (status, 128 - status)


def test_without_a_socket_the_traceback_is_printed(tmp_path: Path) -> None:
    (tmp_path / "arguments").write_text("{}")
    script = "import osbuild.api\nosbuild.api.arguments()\nraise ValueError('x')"
    ended = run(script, (tmp_path / "arguments", "api/arguments"))
    assert ended.returncode == 2
    assert ended.stderr.endswith("ValueError: x\n")


def test_a_socket_that_nobody_serves_does_not_hide_the_exception(tmp_path: Path) -> None:
    (tmp_path / "arguments").write_text("{}")
    (tmp_path / "socket").touch()
    script = "import osbuild.api\nwith osbuild.api.exception_handler():\n    raise ValueError('x')"
    ended = run(script, (tmp_path / "socket", "api/osbuild"))
    assert ended.returncode == 2
    assert "ValueError: x\n" in ended.stderr
