"""JSON in and out: the manifests that commands read, the results that they print."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from osbuild_core.model.errors import Issue, ManifestError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


_WHOLE = "a manifest is one JSON object, and nothing else"


def read_manifest(path: str) -> Any:
    """Return the JSON of a manifest file (``-``: standard input).

    Raises UsageError where it cannot be read, ManifestError where it is not JSON.
    """
    shown = "standard input" if path == "-" else path
    try:
        if path == "-":
            data = sys.stdin.buffer.read()
        else:
            with open(path, "rb") as file:
                data = file.read()
    except OSError as error:
        raise UsageError(
            f"cannot read {shown or 'a file without a name'}: {error.strerror}",
            code="usage.manifest",
            hint="name a file with a manifest, or - for standard input",
        ) from error
    try:
        text = data.decode()
        if not text.startswith("\ufeff"):
            return json.loads(text)
        reason, hint = "it begins with a byte order mark", "save it as UTF-8 without one"
    except UnicodeDecodeError:
        reason, hint = "it is not UTF-8 text", "save it as UTF-8"
    except RecursionError:
        reason, hint = "it is nested too deeply", _WHOLE
    except json.JSONDecodeError as error:
        reason, hint = str(error), _WHOLE
        if not data.strip():
            reason, hint = "it is empty", "has what was to write it failed?"
        elif _is_trailing_comma(text, error):
            reason, hint = _at("a comma after the last item", error), "take it out"
        elif error.pos == len(text):
            reason, hint = _at("it ends too early", error), "is it whole, and is each bracket closed?"
    except ValueError:
        reason, hint = "a number in it has too many digits", _WHOLE
    if path.endswith((".yaml", ".yml")):
        hint = f"a template becomes a manifest with: osbuild-core resolve {path} -o manifest.json"
    raise ManifestError([Issue(f"{shown} is not JSON: {reason}", (), "manifest.json", hint)])


def _is_trailing_comma(text: str, error: json.JSONDecodeError) -> bool:
    """Tell whether it is a comma before a bracket that is wrong; Python 3.13 says so, and stops at the comma."""
    if error.msg.startswith("Illegal trailing comma"):
        return True
    return text[: error.pos].rstrip().endswith(",") and text.startswith(("}", "]"), error.pos)


def _at(reason: str, error: json.JSONDecodeError) -> str:
    return f"{reason}: line {error.lineno} column {error.colno} (char {error.pos})"


def print_json(document: Any) -> None:
    """Print ``document`` on standard output."""
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")


def write_output(text: str, output: Path | None) -> None:
    """Write ``text`` to the file ``output``, or to standard output. Raises UsageError."""
    if output is None:
        sys.stdout.write(text)
        return
    try:
        write(text, output.resolve())
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}", code="usage.output") from error


def write(text: str, output: Path) -> None:
    """Write ``output``, whole or not at all: a manifest that is cut short may still be JSON up to the cut.

    Raises OSError.
    """
    if output.exists() and not output.is_file():
        # A pipe or a terminal must not be replaced by a file.
        output.write_text(text, encoding="utf-8")
        return
    partial = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
