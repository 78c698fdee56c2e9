"""Reads the settings of the service: the command line, the environment (``OSBUILD_CORE_…``), a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from osbuild_core.model.errors import UsageError
from osbuild_core.server.settings import ServerSettings


def load_settings(file: Path | None, given: Mapping[str, Any] | None = None) -> ServerSettings:
    """Return the settings: ``given`` (the command line) first, then the environment, then ``file``.

    Raises UsageError with the first thing that is wrong; values are not repeated, as they may be secrets.
    """
    document: dict[str, Any] = {}
    if file is not None:
        try:
            document = tomllib.loads(file.read_text())
        except OSError as error:
            raise UsageError(
                f"cannot read {file}: {error.strerror}", code="server.settings", hint="name it with --config"
            ) from error
        except ValueError as error:
            raise UsageError(f"{file}: {error}", code="server.settings") from error
        unknown = sorted(set(document) - set(ServerSettings.model_fields))
        if unknown:
            raise UsageError(f"{file}: there is no setting {unknown[0]!r}", code="server.settings")
    try:
        from_environment = ServerSettings().model_dump(exclude_unset=True)
        return ServerSettings(**_merged(_merged(document, from_environment), given or {}))
    except ValidationError as error:
        first = error.errors()[0]
        place = tuple(part for part in first["loc"] if part != "function-after")
        raise UsageError(str(first["msg"]), code="server.settings", place=place) from None
    except ValueError as error:
        raise UsageError(str(error).splitlines()[0], code="server.settings") from None


def _merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(lower)
    for name, value in upper.items():
        if isinstance(value, Mapping) and isinstance(result.get(name), Mapping):
            result[name] = _merged(result[name], value)
        else:
            result[name] = value
    return result
