"""A folder as a template: its files, variables, parameters of sbatch and questions.

``job-script.yaml`` (or .yml, .json) in the folder says what is what; a folder with ``jobbergate.yaml`` is read as
Jobbergate reads it (see ``jobbergate``).
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from osbuild_core.exports.jobs.document import read_document
from osbuild_core.exports.jobs.errors import kind as kind_of
from osbuild_core.exports.jobs.errors import near
from osbuild_core.exports.jobs.scripts.errors import ScriptTemplateError, issue
from osbuild_core.exports.jobs.scripts.questions import NAME, RESERVED, Question, read_questions
from osbuild_core.model.errors import Issue, UsageError
from osbuild_core.model.errors import Path as Place

CONFIGURATIONS = ("job-script.yaml", "job-script.yml", "job-script.json")
JOBBERGATE = "jobbergate.yaml"
SUFFIXES = (".j2", ".jinja2")
LARGEST = 5 * 1024 * 1024
"""Bytes that a file may have, before and after rendering."""

_KEYS = ("name", "description", "entrypoint", "files", "output-names", "variables", "sbatch", "questions")


@dataclass(frozen=True)
class TemplateFile:
    """A file of a template: where it is below its folder, and what it is called where it is put."""

    source: PurePosixPath
    targets: tuple[PurePosixPath, ...]
    is_entrypoint: bool = False
    is_template: bool = True


@dataclass(frozen=True)
class ScriptTemplate:
    """A template as its folder says it is. ``files`` has exactly one entrypoint, the first.

    ``sbatch`` are parameters of sbatch, themselves templates; ``notes`` are for whoever uses it: what could not be
    understood of a folder that was made for another program.
    """

    folder: Path
    name: str
    files: tuple[TemplateFile, ...]
    description: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)
    sbatch: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def entrypoint(self) -> TemplateFile:
        return self.files[0]

    def all_questions(self) -> Iterator[Question]:
        """Yield the questions, also those that only come after an answer of yes or no."""
        for question in self.questions:
            yield from question.all()


def is_template(folder: str | os.PathLike[str]) -> bool:
    """Tell whether ``folder`` has the configuration of a template."""
    return any(Path(folder, name).is_file() for name in (*CONFIGURATIONS, JOBBERGATE))


def read_template(folder: str | os.PathLike[str]) -> ScriptTemplate:
    """Return the template in ``folder``.

    Raises UsageError where there is none, ScriptTemplateError with all that is wrong with it.
    """
    root = Path(folder)
    for name in CONFIGURATIONS:
        if (root / name).is_file():
            return _read(root, name, read_document(root / name))
    if (root / JOBBERGATE).is_file():
        from osbuild_core.exports.jobs.scripts.jobbergate import read_application

        return read_application(root, read_document(root / JOBBERGATE))
    reason = "there is no" if root.is_dir() else "it is no folder with a"
    raise UsageError(
        f"{root}: {reason} {CONFIGURATIONS[0]}",
        code="usage.script-template",
        hint=f"a template is a folder with {CONFIGURATIONS[0]}, or one of Jobbergate with {JOBBERGATE}",
    )


def _read(root: Path, name: str, document: Mapping[str, Any]) -> ScriptTemplate:
    issues: list[Issue] = []
    for key in document:
        if key not in _KEYS:
            hint = near(key, _KEYS) or f"there are: {', '.join(_KEYS)}"
            issues.append(issue("script.key", f"there is no key {key!r}", (key,), hint))
    names = mapping(document, "output-names", issues)
    files = read_files(root, document.get("entrypoint"), document.get("files", []), names, issues)
    template = ScriptTemplate(
        root,
        str(document.get("name", root.resolve().name)),
        files,
        str(document.get("description", "")),
        variables(document, issues),
        sbatch_parameters(document.get("sbatch", []), issues),
        read_questions(document.get("questions", []), ("questions",), issues),
    )
    check_names(template, issues)
    if issues:
        raise ScriptTemplateError(one._replace(message=f"{root / name}: {one.message}") for one in issues)
    return template


def mapping(document: Mapping[str, Any], key: str, issues: list[Issue]) -> Mapping[str, Any]:
    """Return what is at ``key``, an empty one where there is nothing."""
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        issues.append(issue("script.key", f"a mapping is wanted, not {kind_of(value)}", (key,)))
        return {}
    return value


def variables(document: Mapping[str, Any], issues: list[Issue]) -> Mapping[str, Any]:
    """Return the variables and their defaults."""
    found = mapping(document, "variables", issues)
    for name in found:
        if not isinstance(name, str) or not NAME.fullmatch(name) or name in RESERVED:
            hint = "letters, digits and _, not data"
            issues.append(
                issue("script.variable", f"{name!r} is no name of a variable", ("variables", name), hint)
            )
    return found


def check_names(template: ScriptTemplate, issues: list[Issue]) -> None:
    """Find two questions of one name; only one of the two branches of a boolean-list is asked."""
    seen: set[str] = set()

    def names(questions: tuple[Question, ...]) -> set[str]:
        found: set[str] = set()
        for question in questions:
            own = {question.name} | names(question.when_true) | names(question.when_false)
            if question.name in found | seen:
                issues.append(
                    issue("script.question", f"{question.name!r} is asked for twice", ("questions",))
                )
            found |= own
        return found

    names(template.questions)


def sbatch_parameters(value: Any, issues: list[Issue]) -> tuple[str, ...]:
    """Return parameters of sbatch from a list (``--time=5``) or a mapping (``time: 5``, ``exclusive: true``)."""
    if isinstance(value, Mapping):
        found = []
        for key, one in value.items():
            if one is True:
                found.append(f"--{key}")
            elif one is not False and one is not None:
                text = str(one)
                # What is a template is quoted by whoever knows what comes out.
                found.append(f"--{key}={text if '{{' in text else shlex.quote(text)}")
        value = found
    if not isinstance(value, list):
        issues.append(
            issue("script.sbatch", f"a list or mapping is wanted, not {kind_of(value)}", ("sbatch",))
        )
        return ()
    for index, one in enumerate(value):
        if not isinstance(one, str) or not one.startswith("-") or "\n" in one:
            hint = "as in --time=10 or -n 4, one in a line"
            issues.append(
                issue("script.sbatch", f"{one!r} is no parameter of sbatch", ("sbatch", index), hint)
            )
            return ()
    return tuple(value)


def read_files(
    root: Path, entrypoint: Any, supporting: Any, names: Mapping[str, Any], issues: list[Issue]
) -> tuple[TemplateFile, ...]:
    """Return the files of a template, its entrypoint first."""
    if not isinstance(entrypoint, str):
        hint = "the name of the one file that is submitted"
        issues.append(issue("script.entrypoint", "exactly one entrypoint is wanted", ("entrypoint",), hint))
        return ()
    if not isinstance(supporting, list) or not all(isinstance(one, str) for one in supporting):
        issues.append(issue("script.file", "files are a list of names", ("files",)))
        return ()
    for name in names:
        if name != entrypoint and name not in supporting:
            close = near(name, [entrypoint, *supporting])
            issues.append(
                issue("script.file", f"{name!r} is not among the files", ("output-names", name), close)
            )
    found = []
    places: list[tuple[Place, str]] = [(("entrypoint",), entrypoint)]
    places += [(("files", index), name) for index, name in enumerate(supporting)]
    for place, name in places:
        if name == entrypoint and place[0] == "files":
            issues.append(issue("script.entrypoint", f"{name!r} is the entrypoint already", place))
            continue
        if reason := _unusable(root, name):
            issues.append(issue("script.file", f"{name}: {reason}", place))
            continue
        given = names.get(name, default_target(name))
        targets = _targets(given, ("output-names", name), issues)
        if name == entrypoint and len(targets) > 1:
            issues.append(
                issue("script.entrypoint", "the entrypoint has one output name", ("output-names", name))
            )
        found.append(
            TemplateFile(PurePosixPath(name), targets, name == entrypoint, name.lower().endswith(SUFFIXES))
        )
    _check_targets(found, issues)
    return tuple(found)


def _check_targets(files: list[TemplateFile], issues: list[Issue]) -> None:
    owners: dict[PurePosixPath, PurePosixPath] = {}
    for file in files:
        for target in file.targets:
            if target in owners:
                message = f"{file.source} and {owners[target]} both become {target}"
                issues.append(issue("script.output", message, (), "name another one in output-names"))
            owners[target] = file.source


def default_target(name: str) -> str:
    """Return what a file is called where it is put: without ``templates/`` and ``.j2``."""
    target = name.removeprefix("templates/")
    for suffix in SUFFIXES:
        if target.lower().endswith(suffix):
            return target[: -len(suffix)]
    return target


def _targets(given: Any, place: tuple[str, ...], issues: list[Issue]) -> tuple[PurePosixPath, ...]:
    found = []
    for name in given if isinstance(given, list) else [given]:
        if not isinstance(name, str) or not inside(name):
            hint = "a name, with folders if need be, below the output directory"
            issues.append(issue("script.output", f"{name!r} is no name of an output file", place, hint))
        else:
            found.append(PurePosixPath(name))
    return tuple(found)


def inside(name: str) -> bool:
    """Tell whether the relative path ``name`` stays below where it begins, and names something."""
    path = PurePosixPath(name)
    ordinary = not path.is_absolute() and ".." not in path.parts and path.parts != ()
    # Half a character, as JSON can spell one, is in no name of a file.
    written = "\0" not in name and not any("\ud800" <= letter <= "\udfff" for letter in name)
    return ordinary and written and not name.endswith("/")


def _unusable(root: Path, name: str) -> str | None:
    """Return why ``name`` is no file of the folder ``root``."""
    path = root / name
    if not inside(name) or not path.resolve().is_relative_to(root.resolve()):
        return "it is not below the template's folder"
    if not path.is_file():
        return "there is no such file"
    if path.stat().st_size > LARGEST:
        return f"it has {path.stat().st_size} bytes, at most {LARGEST} are allowed"
    return None
