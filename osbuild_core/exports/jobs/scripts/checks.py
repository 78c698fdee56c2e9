"""Checks of files by what their names say they are: Python, YAML, JSON, shell, templates."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from pathlib import PurePosixPath

from osbuild_core.exports.jobs.scripts.errors import issue
from osbuild_core.exports.jobs.scripts.template import LARGEST, SUFFIXES
from osbuild_core.model.errors import Issue

_SHELL = re.compile(r"#!\s*\S*/(?:env\s+)?(?:ba|da)?sh\b")
_SECONDS = 20


def check(path: PurePosixPath, content: bytes, *, is_entrypoint: bool = False) -> list[Issue]:
    """Return what is wrong with a file that is to be ``path``: its size, its text, its syntax."""
    if len(content) > LARGEST:
        return [issue("script.size", f"{path}: it has {len(content)} bytes, at most {LARGEST} are allowed")]
    suffix = path.suffix.lower()
    if not (is_entrypoint or suffix in _CHECKS or suffix in SUFFIXES):
        return []
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return [issue("script.encoding", f"{path}:1: it is not UTF-8 text")]
    if is_entrypoint and not text.startswith("#!"):
        hint = "#!/bin/bash, say: sbatch takes no other"
        return [
            issue("script.interpreter", f"{path}:1: it does not begin with #! and an interpreter", (), hint)
        ]
    if "\r\n" in text and is_entrypoint:
        return [issue("script.encoding", f"{path}:1: it has line breaks of DOS", (), "sbatch refuses those")]
    checker = _CHECKS.get(suffix)
    if checker is None and suffix in SUFFIXES:
        checker = _template
    if checker is None and _SHELL.match(text):
        checker = _shell
    found = checker(text) if checker is not None else None
    if found is None:
        return []
    line, message = found
    return [issue("script.syntax", f"{path}:{line}: {message}")]


def _python(text: str) -> tuple[int, str] | None:
    try:
        ast.parse(text)
    except SyntaxError as error:
        return error.lineno or 1, f"it is not Python: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return 1, f"it is not Python: {error}"
    return None


def _yaml(text: str) -> tuple[int, str] | None:
    import yaml

    try:
        list(yaml.safe_load_all(text))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return line, f"it is not YAML: {error.problem}"
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return 1, f"it is not YAML: {str(error).splitlines()[0]}"
    return None


def _json(text: str) -> tuple[int, str] | None:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.lineno, f"it is not JSON: {error.msg}"
    except (ValueError, RecursionError) as error:
        return 1, f"it is not JSON: {error}"
    return None


def _shell(text: str) -> tuple[int, str] | None:
    """Have bash read it without running it; where there is no bash, nothing is known."""
    bash = shutil.which("bash")
    if bash is None:
        return None
    try:
        done = subprocess.run(
            [bash, "--norc", "-n", "-s"],
            input=text.encode(),
            capture_output=True,
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return 1, f"bash did not read it within {_SECONDS} s"
    if done.returncode == 0:
        return None
    said = done.stderr.decode(errors="replace").strip().splitlines() or ["bash refuses it"]
    match = re.match(r".*?line (\d+): (.*)", said[0])
    return (int(match[1]), f"it is not shell: {match[2]}") if match else (1, said[0])


def _template(text: str) -> tuple[int, str] | None:
    from jinja2 import TemplateSyntaxError
    from jinja2.sandbox import SandboxedEnvironment

    try:
        SandboxedEnvironment().parse(text)
    except TemplateSyntaxError as error:
        return error.lineno, f"it is no template: {error.message}"
    return None


_CHECKS = {
    ".py": _python,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".json": _json,
    ".sh": _shell,
    ".bash": _shell,
}
