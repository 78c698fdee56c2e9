"""Validators compiled from JSON schemas and kept on disk: they say yes or no, and say it fast.

They are Python byte code, so the directory that they are kept in has to belong to the user who runs us,
and to be writable by nobody else; otherwise it is not used.
"""

from __future__ import annotations

import hashlib
import json
import marshal
import os
import stat
import sys
from collections.abc import Callable
from types import CodeType
from typing import Any

Check = Callable[[Any], bool]

_LAYOUT = b"2"
"""Raised with every change of :mod:`osbuild_core.formats.compilation`."""

_checks: dict[str, Check | None] = {}


def check_for(schema: dict[str, Any]) -> Check | None:
    """Return a function that tells whether its argument follows ``schema`` (draft 4).

    It may refuse what jsonschema accepts, and never the other way round. None where
    the schema cannot be compiled.
    """
    text = json.dumps(schema, sort_keys=True, separators=(",", ":")).encode()
    key = hashlib.sha256(text + _environment()).hexdigest()
    if key not in _checks:
        code = _read(key)
        if code is None:
            from osbuild_core.formats.compilation import compiled

            code = compiled(schema)
            if code is not None:
                _write(key, code)
        _checks[key] = _check(code) if code else None
    return _checks[key]


class _Refused(Exception):
    """Raised by compiled code."""


class _Patterns(dict[str, Any]):
    """Regular expressions, each compiled when it is first used."""

    def __init__(self, patterns: dict[str, str]) -> None:
        super().__init__()
        self._texts = patterns

    def __missing__(self, name: str) -> Any:
        import re

        found = self[name] = re.compile(self._texts[name])
        return found


def _check(code: CodeType) -> Check:
    # JSON as we read it has no decimal numbers.
    names: dict[str, Any] = {"Refused": _Refused, "Patterns": _Patterns, "Decimal": float}
    exec(code, names)
    validate = names["validate"]

    def check(data: Any) -> bool:
        try:
            validate(data)
        except _Refused:
            return False
        return True

    return check


def _environment() -> bytes:
    """Return what compiled code depends on beside its schema."""
    global _ENVIRONMENT
    if not _ENVIRONMENT:
        from importlib.machinery import PathFinder

        # Importing the package for its version costs more than all the rest.
        spec = PathFinder.find_spec("fastjsonschema")
        version = b""
        if spec and spec.origin:
            with open(os.path.join(os.path.dirname(spec.origin), "version.py"), "rb") as file:
                version = file.read()
        _ENVIRONMENT = b"\0".join((b"", _LAYOUT, sys.version.encode(), version))
    return _ENVIRONMENT


_ENVIRONMENT = b""


def _directory() -> str:
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.cache")
    return os.path.join(base, "osbuild-core", "validators")


def _is_ours(fd: int) -> bool:
    status = os.fstat(fd)
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _open_directory() -> int | None:
    try:
        fd = os.open(_directory(), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    if _is_ours(fd):
        return fd
    os.close(fd)
    return None


def _read(key: str) -> CodeType | None:
    directory = _open_directory()
    if directory is None:
        return None
    try:
        fd = os.open(key, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        with open(fd, "rb") as file:
            data = file.read() if _is_ours(fd) else b""
    except OSError:
        return None
    finally:
        os.close(directory)
    # Damaged byte code can bring the interpreter down.
    digest, payload = data[:32], data[32:]
    if hashlib.sha256(payload).digest() != digest:
        return None
    code = marshal.loads(payload)
    return code if isinstance(code, CodeType) else None


def _write(key: str, code: CodeType) -> None:
    """Keep ``code``; where the directory cannot be used or written, do without."""
    payload = marshal.dumps(code)
    temporary = f".{key}.{os.getpid()}"
    try:
        os.makedirs(_directory(), mode=0o700, exist_ok=True)
    except OSError:
        return
    directory = _open_directory()
    if directory is None:
        return
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=directory)
        try:
            with open(fd, "wb") as file:
                file.write(hashlib.sha256(payload).digest() + payload)
            os.rename(temporary, key, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError:
            os.unlink(temporary, dir_fd=directory)
    except OSError:
        return
    finally:
        os.close(directory)
