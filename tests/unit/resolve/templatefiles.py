"""Templates as text, and what becomes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from osbuild_core.model.errors import ResolveError
from osbuild_core.resolve import ResolveSettings, resolve


class Templates:
    """A directory of templates; ``main.yaml`` is the one that is resolved."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, name: str, text: str | bytes) -> Path:
        file = self.directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    def resolve(self, text: str | bytes, **variables: str) -> dict[str, Any]:
        settings = ResolveSettings(state_dir=self.directory / "state", apt_sources=self.directory / "etc")
        return resolve(self.write("main.yaml", text), variables=variables, settings=settings)

    def value(self, text: str, **variables: str) -> Any:
        """Return the value of ``x`` at the top level of the template."""
        return self.resolve(text, **variables)["x"]

    def refused(self, text: str | bytes, **variables: str) -> ResolveError:
        with pytest.raises(ResolveError) as caught:
            self.resolve(text, **variables)
        assert "\n" not in caught.value.detail
        return caught.value

    def where(self, error: ResolveError) -> str:
        """Return the ``file:line:column`` of an error, the file without its directory."""
        return error.detail.removeprefix(f"{self.directory}/").partition(": ")[0]
