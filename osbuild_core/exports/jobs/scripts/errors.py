"""What is wrong with a job-script template, an answer, or what came out of them."""

from __future__ import annotations

from osbuild_core.model.errors import Issue, ManifestError, OsbuildError, Path


class ScriptTemplateError(ManifestError):
    """The folder of a job-script template was refused; ``issues`` has every reason, with its place."""

    code = "script.template"


class RenderError(ManifestError):
    """Rendered files were refused; ``issues`` has a line for each, which begins with ``FILE:LINE:``."""

    code = "script.render"


class AnswerError(OsbuildError):
    """A question has no answer, or one that does not fit."""

    code = "script.answer"


def issue(code: str, message: str, path: Path = (), hint: str | None = None) -> Issue:
    """Return an issue; ``code`` first, as that is what tests and programs ask for."""
    return Issue(message, path, code, hint)
