"""Errors become results: a failure is a value, whether it was ours to foresee or the operating system's."""

from __future__ import annotations

from osbuild_core.model.errors import OsbuildError, Path
from osbuild_core.model.results import Failure
from osbuild_core.store.failure import store_error

FAILURES = (OsbuildError, OSError)
"""What a pipeline, a fetch or an export may raise without being wrong itself."""


def failure_of(error: OsbuildError | OSError, what: str, place: Path = ()) -> Failure:
    """Return ``error`` as a result shows it.

    ``what`` says what could not be done, where that is all there is to say of an OSError; ``place`` is where
    in the manifest, unless the error knows better.
    """
    if isinstance(error, OSError):
        error = store_error(error, what)
    return Failure(error.code, error.detail, error.hint, error.place or place)


def cancelled(place: Path = ()) -> Failure:
    """Return the failure of what was cancelled."""
    return Failure("cancelled", "cancelled", place=place)
