"""New modules: the files of one that works, to begin with."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from osbuild_core.model.errors import UsageError

FOLDERS = {
    "stage": "stages",
    "input": "inputs",
    "source": "sources",
    "device": "devices",
    "mount": "mounts",
    "assembler": "assemblers",
    "export": "exports",
}
"""Kinds of modules that there are skeletons for, with their folders in a library."""

_TEXTS = Path(__file__).with_name("skeletons")


def parse_module(text: str) -> tuple[str, str]:
    """Return (kind, name) of ``KIND/NAME``. Raises UsageError."""
    kind, slash, name = text.partition("/")
    kind = {folder: kind for kind, folder in FOLDERS.items()}.get(kind, kind)
    if not slash or kind not in FOLDERS:
        raise UsageError(
            f"{text!r} is not KIND/NAME",
            code="usage.module",
            hint=f"like stage/com.example.greeting; kinds are {', '.join(FOLDERS)}",
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name) or name.endswith(".meta.json"):
        raise UsageError(
            f"{name!r} cannot be the name of a module",
            code="usage.module",
            hint="take letters, digits, dots and dashes, like com.example.greeting",
        )
    return kind, name


def skeleton(kind: str, name: str) -> dict[str, str]:
    """Return {path in a library: text} of a module with its metadata and a test. The module comes first."""
    test = f"tests/test_{kind}_{re.sub(r'[^A-Za-z0-9]', '_', name)}.py"
    files = {
        f"{FOLDERS[kind]}/{name}": "module",
        f"{FOLDERS[kind]}/{name}.meta.json": "meta.json",
        test: "test",
    }
    return {
        path: (_TEXTS / kind / source)
        .read_text(encoding="utf-8")
        .replace("@NAME@", name)
        .replace("@KIND@", kind)
        for path, source in files.items()
    }


def write_skeleton(files: dict[str, str], library: Path) -> list[Path]:
    """Write ``files`` below the directory ``library``; returns where they are.

    All or none: raises UsageError where one of them is there already, or cannot be written.
    """
    written: list[Path] = []
    try:
        for number, (name, text) in enumerate(files.items()):
            path = library / name
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o777 if number == 0 else 0o666
            )
            written.append(path)
            with open(fd, "w", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        for path in written:
            with suppress(OSError):
                path.unlink()
        exists = isinstance(error, FileExistsError)
        raise UsageError(
            f"cannot write {error.filename or library}: {error.strerror}",
            code="usage.exists" if exists else "usage.output",
            hint="nothing is overwritten: take another name, or remove it first" if exists else None,
        ) from error
    return written
