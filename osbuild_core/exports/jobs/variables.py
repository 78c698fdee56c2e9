"""The environment variables of a session: what it began with, and what each of its environments changed."""

from __future__ import annotations

from collections.abc import Mapping

Changes = dict[str, str | None]
"""Variables and their values; None takes one away."""


class Variables:
    """Changes by environment, in the order in which those were entered."""

    def __init__(self, first: Mapping[str, str]) -> None:
        self._first = dict(first)
        self._entered: dict[str, Changes] = {}

    def enter(self, identifier: str, variables: Mapping[str, str]) -> None:
        """Begin with what an environment defines."""
        self._entered[identifier] = dict(variables)

    def set(self, identifier: str, name: str, value: str | None) -> None:
        """Let an environment that is entered set a variable, or with None take it away."""
        if identifier in self._entered:
            self._entered[identifier][name] = value

    def exit(self, identifier: str) -> None:
        """Take back what an environment changed."""
        self._entered.pop(identifier, None)

    def changes(self, more: Mapping[str, str] | None = None, *, environments: bool = True) -> Changes:
        """Return all changes, ``more`` before those of the environments."""
        result: Changes = {**self._first, **(more or {})}
        for changes in self._entered.values() if environments else ():
            result.update(changes)
        return result
