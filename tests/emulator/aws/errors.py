"""Refusals: moto's exception for the inside, and the bytes for the gate, which stands before moto."""

from __future__ import annotations

import json
from typing import NamedTuple
from xml.sax.saxutils import escape

from moto.core.exceptions import ServiceException


class Refused(ServiceException):
    """An error answer; ``code`` is AWS's, and for JSON services the name of the error's shape."""

    def __init__(self, code: str, message: str, reason: str | None = None) -> None:
        super().__init__(code, message)
        self.Reason = reason


class Answer(NamedTuple):
    """A finished HTTP answer."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


THROTTLED = {
    "ec2": ("RequestLimitExceeded", 503),
    "ebs": ("RequestThrottledException", 400),
    "s3": ("SlowDown", 503),
    "sns": ("Throttled", 429),
    "sts": ("Throttling", 400),
    "iam": ("Throttling", 400),
}
EXPIRED = {
    "ec2": ("RequestExpired", 400),
    "s3": ("ExpiredToken", 400),
    "sns": ("ExpiredToken", 403),
    "sts": ("ExpiredToken", 403),
    "iam": ("ExpiredToken", 403),
}
NO_SUCH_KEY = {
    "ec2": ("AuthFailure", 401),
    "s3": ("InvalidAccessKeyId", 403),
    "sns": ("InvalidClientTokenId", 403),
    "sts": ("InvalidClientTokenId", 403),
    "iam": ("InvalidClientTokenId", 403),
}
STATUS = {
    "OperationNotPermitted": 400,
    "UnauthorizedOperation": 403,
    "AccessDenied": 403,
    "AccessDeniedException": 403,
    "InternalError": 500,
    "InternalFailure": 500,
    "InternalServerException": 500,
    "ServiceUnavailable": 503,
    "Unavailable": 503,
    "BadDigest": 400,
}


def code_of(kind: str, service: str) -> tuple[str, int]:
    """Return the code and the HTTP status that ``service`` has for a kind of error."""
    match kind:
        case "throttle":
            return THROTTLED.get(service, ("ThrottlingException", 400))
        case "expired":
            return EXPIRED.get(service, ("ExpiredTokenException", 400))
        case "unknown-key":
            return NO_SUCH_KEY.get(service, ("UnrecognizedClientException", 403))
        case _:
            return kind, STATUS.get(kind, 400)


def answer(kind: str, message: str, service: str) -> Answer:
    """Return the answer that refuses a request to ``service``, in the words of its protocol."""
    code, status = code_of(kind, service)
    text = escape(message)
    match service:
        case "ec2":
            body = (
                f"<Response><Errors><Error><Code>{code}</Code><Message>{text}</Message></Error></Errors>"
                "<RequestID>emulated</RequestID></Response>"
            )
        case "s3":
            body = (
                f"<Error><Code>{code}</Code><Message>{text}</Message><RequestId>emulated</RequestId></Error>"
            )
        case "sns" | "sts" | "iam":
            body = (
                f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{text}</Message></Error>"
                "<RequestId>emulated</RequestId></ErrorResponse>"
            )
        case _:
            data = json.dumps({"__type": code, "message": message, "Message": message}).encode()
            return Answer(status, "application/json", data, (("x-amzn-errortype", code),))
    return Answer(status, "text/xml", body.encode())
