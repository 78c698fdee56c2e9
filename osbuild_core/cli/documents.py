"""JSON in and out: the manifests that commands read, the results that they print."""

from __future__ import annotations

import json
import sys
from typing import Any

from osbuild_core.model.errors import Issue, ManifestError, UsageError


def read_manifest(path: str) -> Any:
    """Return the JSON of a manifest file (``-``: standard input).

    Raises UsageError where it cannot be read, ManifestError where it is not JSON.
    """
    try:
        if path == "-":
            data = sys.stdin.buffer.read()
        else:
            with open(path, "rb") as file:
                data = file.read()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", code="usage.manifest") from error
    try:
        return json.loads(data.decode())
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read {path}: it is not UTF-8 text", code="usage.manifest") from error
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:
        reason = str(error)
    hint = None
    if path.endswith((".yaml", ".yml")):
        hint = f"a template becomes a manifest with: osbuild-core resolve {path} -o manifest.json"
    raise ManifestError([Issue(f"{path} is not JSON: {reason}", (), "manifest.json", hint)])


def print_json(document: Any) -> None:
    """Print ``document`` on standard output."""
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")
