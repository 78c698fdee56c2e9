"""Errors become failures, with what the user can do about them."""

from __future__ import annotations

import errno
import os

from osbuild_core.engine.failure import failure_of
from osbuild_core.model.errors import Cancelled, ServiceError

PLACE = ("pipelines", 0)


def test_an_error_of_ours_keeps_what_it_says():
    error = ServiceError("broke", code="service.exit", hint="mend it")
    failure = failure_of(error, "not needed", PLACE)
    assert (failure.code, failure.detail, failure.hint, failure.place) == (
        "service.exit",
        "broke",
        "mend it",
        PLACE,
    )
    error.place = ("sources",)
    assert failure_of(error, "not needed", PLACE).place == ("sources",)
    assert failure_of(Cancelled("cancelled"), "not needed").code == "cancelled"


def test_an_error_of_the_system_says_what_could_not_be_done():
    full = failure_of(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/there"), "running the stage", PLACE)
    assert full.code == "store.full"
    assert full.detail == "running the stage: No space left on device (/there)"
    assert full.hint and full.place == PLACE
