from __future__ import annotations

import pytest

from osbuild_core.model.errors import Issue, ManifestError, ModuleError, OsbuildError, place_text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("version",), "version"),
        (("pipelines", 2, "stages", 5, "options", "users"), "pipelines[2].stages[5].options.users"),
        ((0, "a"), "[0].a"),
    ],
)
def test_place_text(path, text):
    assert place_text(path) == text


def test_a_subclass_has_its_code_unless_told():
    assert ModuleError("x").code == "module"
    assert ModuleError("x", code="module.metadata").code == "module.metadata"
    assert ModuleError.code == "module"


def test_a_manifest_error_is_its_first_issue_and_has_all():
    issues = [Issue("a", ("x",), "manifest.cycle", "turn around"), Issue("b")]
    error = ManifestError(iter(issues))
    assert isinstance(error, OsbuildError)
    assert (error.detail, error.place, error.code, error.hint) == (
        "a",
        ("x",),
        "manifest.cycle",
        "turn around",
    )
    assert error.issues == tuple(issues)
