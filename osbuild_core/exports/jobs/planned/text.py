"""The manifest as a text that scripts and templates can carry, and their own texts around it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from typing import Any

from osbuild_core import __version__

END = "END-OF-MANIFEST"
"""The line after the manifest in a script. No line of :func:`manifest_text` is like it."""


def manifest_text(document: Any) -> str:
    """Return ``document``, the JSON of a manifest, as ASCII lines that give the same ids when they are read.

    Neither ``{{`` nor ``}}`` is in it, so that a format string takes it as it is.
    """
    # Line by line, so that no line gets longer than editors and tools like; without the depth, which would be
    # a third of it. Escapes are possible since pairs of braces can be in strings only.
    text = json.dumps(document, indent=0)
    while "{{" in text or "}}" in text:
        text = text.replace("{{", r"{\u007b").replace("}}", r"}\u007d")
    return f"{text}\n"


def quoted(words: Iterable[str]) -> str:
    """Return ``words`` for a shell."""
    return " ".join(map(shlex.quote, words))


def made_by(form: str) -> str:
    """Return who made a text, for its first comment."""
    return f"made by osbuild-core {__version__}: plan --as {form}"
