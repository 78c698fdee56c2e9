"""apt's messages as errors."""

from __future__ import annotations

import pytest

from osbuild_core.resolve.complaints import missing_suites, of_solver, of_update
from osbuild_core.resolve.packageset import PackageSet


@pytest.mark.parametrize(
    ("said", "code", "retryable"),
    [
        ("E: Failed to fetch http://a/InRelease  Could not resolve 'a'", "resolve.network", True),
        ("E: Failed to fetch http://a/InRelease  Connection timed out [IP: 1 80]", "resolve.network", True),
        ("E: Failed to fetch http://a/x  503  Service Unavailable [IP: 1 80]", "resolve.network", True),
        ("E: Failed to fetch http://a/x  Hash Sum mismatch", "resolve.network", True),
        (
            "W: GPG error: http://a b InRelease: NO_PUBKEY 1\nE: The repository 'a' is not signed.",
            "resolve.signature",
            False,
        ),
        ("E: The repository 'http://a b Release' does not have a Release file.", "resolve.index", False),
        ("E: Failed to fetch http://u:p@a/x  401  Unauthorized [IP: 1 80]", "resolve.index", False),
        ("Segmentation fault", "resolve.index", False),
    ],
)
def test_update(said: str, code: str, retryable: bool) -> None:
    error = of_update(said, ("pipelines", 0))
    assert (error.code, error.retryable, error.place) == (code, retryable, ("pipelines", 0))
    assert "u:p" not in error.detail and "\n" not in error.detail


def test_missing_suites_of_signed_and_of_trusted_entries() -> None:
    said = (
        "E: The repository 'http://u:p@a.example/debian x-security Release' does not have a Release file.\n"
        "E: Failed to fetch file:/b/dists/x/updates/main/binary-amd64/Packages  File not found - …\n"
    )
    assert missing_suites(said) == [("http://a.example/debian", "x-security"), ("file:/b", "x/updates")]


def test_explanation_of_the_solver_is_one_paragraph() -> None:
    stdout = (
        "Reading package lists...\nThe following packages have unmet dependencies:\n"
        " a : Depends: b (>= 2) but it is not installable or\n              c but it is not going to be installed\n"
        "     Conflicts: d\n"
    )
    error = of_solver(stdout, "E: held broken packages", PackageSet("x", name="os"))
    assert error.detail == (
        "package set 'os' cannot be installed: a : Depends: b (>= 2) but it is not installable or "
        "c but it is not going to be installed; Conflicts: d"
    )
