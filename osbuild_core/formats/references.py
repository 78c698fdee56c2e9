"""What a manifest's ``name:…`` references to pipelines mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from osbuild_core.model.errors import Issue, Path
from osbuild_core.model.manifest import ORIGIN_PIPELINE, Pipeline

PREFIX = "name:"

_CYCLE = "a tree has to be there before another is made of it: take one of the references out"


class Pipelines:
    """The pipelines loaded so far, found by reference. What is wrong is appended to ``issues``."""

    def __init__(self, documents: Sequence[Mapping[str, Any]], issues: list[Issue]) -> None:
        self._documents = documents
        self._issues = issues
        self._by_name: dict[str, Pipeline] = {}
        self._by_id: dict[str, Pipeline] = {}
        self._current = ""

    def begin(self, name: str, path: Path) -> None:
        """Note that the pipeline ``name`` is being loaded; its name must be new and a safe file name."""
        self._current = name
        if name in self._by_name:
            message = f"a second pipeline is named {name!r}"
            hint = "give it another name"
            self._issues.append(Issue(message, (*path, "name"), "manifest.duplicate-name", hint))
        self.check_name(name, (*path, "name"))

    def check_name(self, name: str, path: Path) -> None:
        """Refuse names that lead out of the directory they are put into, or that no file can have."""
        wrong = not name or name.startswith("/") or "\0" in name or {".", ".."} & set(name.split("/"))
        if wrong or any("\ud800" <= letter <= "\udfff" for letter in name):
            self._report(f"{name!r} cannot be a name", path, "name", "use letters, digits and dashes")

    def add(self, pipeline: Pipeline) -> None:
        """Make ``pipeline`` known to those that follow."""
        self._by_name.setdefault(pipeline.name, pipeline)
        if pipeline.id is not None:
            self._by_id.setdefault(pipeline.id, pipeline)
        self._current = ""

    def named(self, name: str) -> bool:
        return name in self._by_name

    def resolve(self, reference: str, path: Path) -> Pipeline | None:
        """Return the pipeline that ``reference`` (``name:NAME``, or an id) stands for.

        None, with an issue at ``path``, if it is not one of those already added or has no stages.
        """
        if not reference.startswith(PREFIX):
            found = self._by_id.get(reference)
            if found is None:
                known = any(item["name"] == reference for item in self._documents)
                hint = f'write "{PREFIX}{reference}"' if known else f'references begin with "{PREFIX}"'
                self._report(f"{reference!r} refers to no pipeline", path, "unknown-reference", hint)
            return found
        name = reference.removeprefix(PREFIX)
        found = self._by_name.get(name)
        if found is None:
            self._explain(name, path)
        elif not found.stages:
            hint = "a pipeline without stages has no tree"
            self._report(f"pipeline {name!r} has no stages", path, "empty-pipeline", hint)
            return None
        return found

    def _explain(self, name: str, path: Path) -> None:
        names = [item["name"] for item in self._documents]
        if name == self._current:
            self._report(f"pipeline {name!r} refers to itself", path, "cycle", _CYCLE)
        elif name not in names:
            import difflib

            close = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names[:8])}"
            self._report(f"there is no pipeline {name!r}", path, "unknown-reference", hint)
        elif self._reaches(name, self._current):
            message = f"pipelines {self._current!r} and {name!r} need each other"
            self._report(message, path, "cycle", _CYCLE)
        else:
            hint = f"move {name!r} before {self._current!r}"
            message = f"pipeline {name!r} is defined later than {self._current!r}, which needs it"
            self._report(message, path, "forward-reference", hint)

    def _reaches(self, start: str, goal: str) -> bool:
        needs = {item["name"]: set(_needs(item)) for item in self._documents}
        seen: set[str] = set()
        todo = [start]
        while todo:
            name = todo.pop()
            if name == goal:
                return True
            if name not in seen:
                seen.add(name)
                todo.extend(needs.get(name, ()))
        return False

    def _report(self, message: str, path: Path, code: str, hint: str | None = None) -> None:
        self._issues.append(Issue(message, path, f"manifest.{code}", hint))


def _needs(item: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of the pipelines that the pipeline described by ``item`` refers to."""
    references: list[Iterable[Any]] = [[item.get("build", "")]]
    for stage in item.get("stages", ()):
        for description in stage.get("inputs", {}).values():
            if description["origin"] == ORIGIN_PIPELINE:
                references.append(description["references"])
    for ref in (ref for group in references for ref in group):
        text = ref if isinstance(ref, str) else ref["id"]
        if text.startswith(PREFIX):
            yield text.removeprefix(PREFIX)
