"""The one document that osbuild --json prints."""

from __future__ import annotations

import pytest

from osbuild_core.cli.osbuild import Reply
from osbuild_core.cli.start import Terminated
from osbuild_core.model.errors import Issue, ManifestError, UsageError
from tests.integration.osbuild_cli import clientparser


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (UsageError("no", code="usage.unknown-export"), "usage", "usage.unknown-export"),
        (PermissionError(13, "Permission denied", "/x"), "system", "system"),
        # A bug, which has its traceback on standard error besides.
        (ZeroDivisionError("division by zero"), "internal", "internal"),
        (KeyboardInterrupt(), "cancelled", "cancelled"),
        (Terminated(), "cancelled", "cancelled"),
    ],
)
def test_whatever_goes_wrong_is_a_document(error, kind, code, capsys):
    Reply(True).give_error(error)
    result = clientparser.result(capsys.readouterr().out)
    assert (result.success, result.error, result.failed["code"]) == (False, kind, code)


def test_a_manifest_that_is_refused_has_all_its_errors(capsys):
    issues = [Issue("one", ("pipelines", 0)), Issue("two", ())]
    Reply(True).give_error(ManifestError(issues))
    result = clientparser.result(capsys.readouterr().out)
    assert result.errors == (("one", ("pipelines", 0)), ("two", ()))


def test_the_first_document_is_the_only_one(capsys):
    reply = Reply(True)
    reply.give(lambda: {"n": 1})
    reply.give(lambda: pytest.fail("not wanted any more"))
    reply.give_error(KeyboardInterrupt())
    assert clientparser.one_document(capsys.readouterr().out) == {"n": 1}


def test_a_document_that_cannot_be_made_leaves_room_for_why(capsys):
    reply = Reply(True)
    with pytest.raises(ZeroDivisionError):
        reply.give(lambda: {"n": 1 // 0})
    reply.give_error(ZeroDivisionError())
    assert clientparser.result(capsys.readouterr().out).error == "internal"


def test_without_json_there_is_none(capsys):
    reply = Reply(False)
    reply.give(lambda: pytest.fail("nobody asked"))
    reply.give_error(UsageError("no"))
    assert capsys.readouterr().out == ""
