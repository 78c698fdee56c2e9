"""From a template and values to files, in memory: Jinja2 in its sandbox, where what is undefined is an error.

A variable is there as ``{{ name }}`` and as ``{{ data.name }}``. The sandbox keeps a template from the program and
from files outside its folder; it is no limit to the time that one may take.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Any

from osbuild_core.exports.jobs.errors import near
from osbuild_core.exports.jobs.scripts.checks import check
from osbuild_core.exports.jobs.scripts.errors import RenderError, issue
from osbuild_core.exports.jobs.scripts.sbatch import inject
from osbuild_core.exports.jobs.scripts.template import LARGEST, ScriptTemplate, TemplateFile, inside
from osbuild_core.model.errors import Issue, OsbuildError

if TYPE_CHECKING:
    from jinja2 import Environment, Template


@dataclass(frozen=True)
class RenderedFile:
    """A file that is ready: where it goes below the output directory, what is in it, its permissions."""

    path: PurePosixPath
    content: bytes
    mode: int
    is_entrypoint: bool = False


class _TooLarge(Exception):
    """A file, or a value in it, becomes larger than is allowed."""


def render(
    template: ScriptTemplate, values: Mapping[str, Any], parameters: tuple[str, ...] = ()
) -> tuple[RenderedFile, ...]:
    """Return the files of ``template`` with ``values``, the entrypoint first.

    ``parameters`` of sbatch come after the template's own, so that they win. Raises RenderError with all that is
    wrong: in rendering, and in what came out.
    """
    environment = _environment(template.folder)
    issues: list[Issue] = []
    found: list[RenderedFile] = []
    for file in template.files:
        content = _content(environment, template, file, values, issues)
        if content is None:
            continue
        if file.is_entrypoint:
            own = _parameters(environment, template, values, issues)
            content = inject(content.decode(errors="surrogateescape"), [*own, *parameters]).encode(
                errors="surrogateescape"
            )
        executable = file.is_entrypoint or (template.folder / file.source).stat().st_mode & 0o111
        for target in file.targets:
            issues += check(target, content, is_entrypoint=file.is_entrypoint)
            found.append(RenderedFile(target, content, 0o755 if executable else 0o644, file.is_entrypoint))
    if issues:
        raise RenderError(issues)
    return tuple(found)


def used_names(template: ScriptTemplate) -> frozenset[str]:
    """Return the names that the files of ``template`` use: ``name`` of ``{{ name }}`` and ``{{ data.name }}``.

    Raises RenderError for those that are no templates.
    """
    environment = _environment(template.folder)
    from jinja2 import TemplateError, meta, nodes

    found: set[str] = set()
    issues: list[Issue] = []
    sources: list[str] = [str(file.source) for file in template.files if file.is_template]
    parameters = {f"sbatch[{index}]": text for index, text in enumerate(template.sbatch)}
    for name in (*sources, *parameters):
        try:
            text = parameters.get(name) or _text(template.folder / name)
            tree = environment.parse(text, filename=name)
        except (TemplateError, UnicodeDecodeError, RecursionError) as error:
            issues.append(_failure(error, name, {}))
            continue
        found |= meta.find_undeclared_variables(tree)
        for node in tree.find_all(nodes.Getattr):
            if isinstance(node.node, nodes.Name) and node.node.name == "data":
                found.add(node.attr)
    if issues:
        raise RenderError(issues)
    return frozenset(found - {"data"})


def _content(
    environment: Environment,
    template: ScriptTemplate,
    file: TemplateFile,
    values: Mapping[str, Any],
    issues: list[Issue],
) -> bytes | None:
    if not file.is_template:
        return (template.folder / file.source).read_bytes()
    try:
        return _rendered(environment.get_template(str(file.source)), values).encode()
    except Exception as error:
        # Whatever a template does wrong, it is the template's: it may divide by zero, or sort what has no order.
        issues.append(_failure(error, str(file.source), values))
        return None


def _parameters(
    environment: Environment, template: ScriptTemplate, values: Mapping[str, Any], issues: list[Issue]
) -> list[str]:
    """Return the template's parameters of sbatch; one that comes out empty is left out."""
    found = []
    for index, text in enumerate(template.sbatch):
        try:
            line = _rendered(environment.from_string(text), values).strip()
        except Exception as error:
            issues.append(_failure(error, f"sbatch[{index}]", values))
            continue
        if "\n" in line:
            issues.append(issue("script.sbatch", f"sbatch[{index}]: it becomes more than one line"))
        elif line:
            found.append(line)
    return found


def _rendered(template: Template, values: Mapping[str, Any]) -> str:
    # A template may change the lists that it is given; the next one is to see them as they were.
    own = copy.deepcopy(dict(values))
    parts, size = [], 0
    for part in template.generate({**own, "data": own}):
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            raise _TooLarge(f"it becomes larger than {LARGEST} bytes")
    return "".join(parts)


def _environment(folder: Path) -> Environment:
    try:
        from jinja2 import BaseLoader, StrictUndefined, TemplateNotFound
        from jinja2.sandbox import SandboxedEnvironment
    except ImportError:
        raise OsbuildError(
            "job-script templates need Jinja2", code="script.jinja2", hint="pip install 'osbuild-core[jobs]'"
        ) from None

    class Folder(BaseLoader):
        """Files below the template's folder, for templates and for what they include."""

        def get_source(
            self, environment: Environment, template: str
        ) -> tuple[str, str | None, Callable[[], bool] | None]:
            path = folder / template
            if not inside(template) or not path.resolve().is_relative_to(folder.resolve()):
                raise TemplateNotFound(template, f"{template} is not below the template's folder")
            if not path.is_file():
                raise TemplateNotFound(template, f"there is no file {template}")
            return _text(path), template, lambda: True

    class Sandbox(SandboxedEnvironment):
        """With products and powers kept to a size that is no attack on memory."""

        intercepted_binops = frozenset({"*", "**"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            sizes = [_size(one) for one in (left, right)]
            if operator == "**" and sizes[0] * abs(right if isinstance(right, int) else 1) > 10_000:
                raise _TooLarge("a power in it is too large")
            if operator == "*" and any(not isinstance(one, (int, float)) for one in (left, right)):
                count = left if isinstance(left, int) else right
                if isinstance(count, int) and count * max(sizes) > LARGEST:
                    raise _TooLarge("a product in it is too large")
            return super().call_binop(context, operator, left, right)

    return Sandbox(loader=Folder(), undefined=StrictUndefined, keep_trailing_newline=True)


def _size(value: Any) -> int:
    return value.bit_length() if isinstance(value, int) else len(value) if hasattr(value, "__len__") else 1


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _failure(error: BaseException, name: str, values: Mapping[str, Any]) -> Issue:
    """Return what went wrong in the file ``name``, with the line where it did."""
    from jinja2 import TemplateNotFound, TemplateSyntaxError, UndefinedError
    from jinja2.exceptions import SecurityError

    line = _line(error, name)
    where = name if line is None else f"{name}:{line}"
    if isinstance(error, TemplateSyntaxError):
        return issue(
            "script.syntax", f"{error.name or error.filename or name}:{error.lineno}: {error.message}"
        )
    if isinstance(error, UndefinedError):
        word = (error.message or "").split("'")[1:2]
        close = near(word[0], values) if word else None
        hint = close or "give it with -D, in a file of answers, or among the template's variables"
        return issue("script.undefined", f"{where}: {error.message}", (), hint)
    if isinstance(error, SecurityError):
        return issue(
            "script.unsafe", f"{where}: {error.message}", (), "the sandbox keeps templates from this"
        )
    if isinstance(error, TemplateNotFound):
        return issue("script.file", f"{where}: {error.message}")
    if isinstance(error, UnicodeDecodeError):
        return issue("script.encoding", f"{name}:1: it is not UTF-8 text")
    if isinstance(error, _TooLarge):
        return issue("script.size", f"{where}: {error}")
    text = str(error).splitlines()[:1] or [""]
    return issue("script.render", f"{where}: {type(error).__name__}: {text[0]}")


def _line(error: BaseException, name: str) -> int | None:
    """Return the line of the template ``name`` in which ``error`` was raised; Jinja2 gives its frames such."""
    line, trace = None, error.__traceback__
    while isinstance(trace, TracebackType):
        if trace.tb_frame.f_code.co_filename in (name, "<template>"):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
