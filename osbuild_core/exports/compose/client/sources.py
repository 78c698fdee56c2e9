"""The sources of a compose, as a client names them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class ComposeSourceGeneric:
    """A source of any type: ``source`` is what that type takes, further arguments are parameters of the source.

    A parameter that is None is left out. ``koji_event`` and so on are those of the REST interface.
    """

    def __init__(self, source: str, source_type: str, **parameters: Any) -> None:
        self.source = source
        self.source_type = source_type
        self.parameters = {name: value for name, value in parameters.items() if value is not None}

    def document(self) -> dict[str, Any]:
        """Return the ``source`` of a request."""
        shown: dict[str, Any] = {"type": self.source_type, **self.parameters}
        if self.source:
            shown["source"] = self.source
        return shown


class ComposeSourceRepo(ComposeSourceGeneric):
    """Repositories: addresses (or paths, where the service allows those), or ``deb URL suite component…``."""

    def __init__(self, source: str, packages: Iterable[str] | None = None, **parameters: Any) -> None:
        super().__init__(source, "repo", packages=_list(packages), **parameters)


class ComposeSourceTag(ComposeSourceGeneric):
    """A named set of packages, whole or some ``packages`` of it."""

    def __init__(
        self,
        tag: str,
        packages: Iterable[str] | None = None,
        builds: Iterable[str] | None = None,
        sigkeys: Iterable[str] | None = None,
        koji_event: int | None = None,
        **parameters: Any,
    ) -> None:
        parameters |= {"packages": _list(packages), "builds": _list(builds)}
        super().__init__(tag, "tag", sigkeys=_list(sigkeys), koji_event=koji_event, **parameters)


class ComposeSourceModule(ComposeSourceGeneric):
    """Modules as ``NAME:STREAM``, with version and context where they matter."""

    def __init__(
        self, modules: Iterable[str], sigkeys: Iterable[str] | None = None, **parameters: Any
    ) -> None:
        super().__init__(" ".join(modules), "module", sigkeys=_list(sigkeys), **parameters)


class ComposeSourcePulp(ComposeSourceGeneric):
    """Content sets: the compose is a ``.repo`` file with their repositories."""

    def __init__(self, content_sets: Iterable[str], **parameters: Any) -> None:
        super().__init__(" ".join(content_sets), "pulp", **parameters)


class ComposeSourceRawConfig(ComposeSourceGeneric):
    """A configuration by its name in the service, at a commit of its repository."""

    def __init__(
        self, config_name: str, commit: str, koji_event: int | None = None, **parameters: Any
    ) -> None:
        super().__init__(f"{config_name}#{commit}", "raw_config", koji_event=koji_event, **parameters)


class ComposeSourceBuild(ComposeSourceGeneric):
    """Builds as ``NAME-VERSION-RELEASE``."""

    def __init__(
        self, builds: Iterable[str], sigkeys: Iterable[str] | None = None, **parameters: Any
    ) -> None:
        super().__init__("", "build", builds=_list(builds), sigkeys=_list(sigkeys), **parameters)


def _list(words: Iterable[str] | None) -> list[str] | None:
    """Return words as a list; a single string is one word, not its letters."""
    if words is None:
        return None
    return words.split() if isinstance(words, str) else list(words)
