"""What can go wrong in talking to AWS, as errors of ours: one line, the place, a hint, nothing secret."""

from __future__ import annotations

import re

from osbuild_core.model.errors import OsbuildError, Path

LONGEST = 300
"""Characters of what AWS says that are passed on."""

FATAL = frozenset({"aws.credentials", "aws.credentials-expired"})
"""Codes of errors that no other region could escape."""

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_INVALID = frozenset(
    {
        "AuthFailure",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "MissingAuthenticationToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_DENIED = frozenset(
    {
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "OperationNotPermitted",
        "OptInRequired",
        "UnauthorizedOperation",
    }
)
THROTTLED = frozenset(
    {
        "ConcurrentLimitExceededException",
        "RequestLimitExceeded",
        "RequestThrottledException",
        "ResourceLimitExceeded",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""AWS's codes of requests that were not carried out, since there were too many."""

TRANSIENT = THROTTLED | {
    "500",
    "502",
    "503",
    "504",
    "InternalError",
    "InternalFailure",
    "InternalServerException",
    "RequestTimeout",
    "ServiceUnavailable",
    "Unavailable",
}
"""AWS's codes of what may work when it is tried again."""


class AwsError(OsbuildError):
    """Something cannot be made, published or removed on AWS, altogether or in a region."""

    code = "aws"


class StoppedError(AwsError):
    """A part of the work ended because the whole run does."""

    code = "aws.stopped"


def aws_code(error: BaseException) -> str:
    """Return the code in an answer of AWS (``InvalidSnapshot.NotFound``), "" for anything else."""
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return ""
    return str(response.get("Error", {}).get("Code", ""))


def from_aws(error: BaseException) -> bool:
    """Tell whether ``error`` was raised by botocore."""
    if isinstance(error, AwsError):
        return False
    from botocore.exceptions import BotoCoreError, ClientError

    return isinstance(error, (BotoCoreError, ClientError))


def is_transient(error: BaseException) -> bool:
    """Tell whether a request that raised ``error`` may succeed, or has succeeded unseen."""
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return aws_code(error) in TRANSIENT or status >= 500
    return isinstance(error, (exceptions.HTTPClientError, exceptions.ConnectionError))


def scrub(text: str) -> str:
    """Return ``text`` in one line, short, without key ids, signatures and encoded messages."""
    text = re.sub(r"Encoded authorization failure message:.*", "", text, flags=re.DOTALL)
    text = re.sub(r"The Canonical String for this request.*", "", text, flags=re.DOTALL)
    text = re.sub(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{8,}\b", "…", text)
    text = re.sub(r"(?i)((?:signature|credential|token)\s*[=:]\s*)[^\s,;]+", r"\1…", text)
    text = re.sub(r"//[^/\s'\"@]*@", "//", text)
    text = re.sub(r"(https?://[^\s'\"?]*)\?[^\s'\"]*", r"\1", text)
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def of_aws(
    error: Exception, doing: str, *, region: str = "", place: Path = (), hint: str | None = None
) -> AwsError:
    """Return the error for what botocore raised while we were ``doing`` something ("register the image").

    ``hint`` is for an answer that means this request and nothing else. Only AWS's code and message are passed
    on, never what was sent.
    """
    if isinstance(error, AwsError):
        return error
    from botocore import exceptions

    where = f" in {region}" if region else ""
    what = f"cannot {doing}{where}"
    code, retryable = "aws", False
    hint = hint or "AWS documents this code; check the configuration and the account"
    reason = _reason(error)
    if isinstance(error, exceptions.ClientError):
        name = aws_code(error)
        if name in _EXPIRED:
            code, reason, retryable = "aws.credentials-expired", "the credentials have expired", True
            hint = "renew them and run again: what is done is found again"
        elif name in _INVALID:
            code, reason = "aws.credentials-invalid", f"AWS does not accept the credentials ({name})"
            hint = "check the profile or AWS_ACCESS_KEY_ID, the clock, and that the region is enabled"
        elif name in _DENIED:
            code, hint = "aws.denied", "check the policies of the role or user and of the organization"
        elif is_transient(error):
            code, retryable, hint = "aws.busy", True, "run again later: what is done is found again"
    elif isinstance(error, (exceptions.NoCredentialsError, exceptions.PartialCredentialsError)):
        code, reason = "aws.credentials", "no AWS credentials were found"
        hint = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    elif isinstance(
        error,
        (
            exceptions.ProfileNotFound,
            exceptions.CredentialRetrievalError,
            exceptions.SSOError,
            exceptions.RefreshWithMFAUnsupportedError,
        ),
    ):
        code, hint = "aws.credentials", "check AWS_PROFILE, or log in again"
    elif isinstance(error, exceptions.NoRegionError):
        code, reason = "aws.region", "no AWS region is set"
        hint = "set AWS_DEFAULT_REGION, or a region in the profile"
    elif isinstance(error, (exceptions.HTTPClientError, exceptions.ConnectionError)):
        code, retryable = "aws.unreachable", True
        hint = "check the network, the proxy and the name of the region"
    return AwsError(f"{what}: {reason}", code=code, hint=hint, place=place, retryable=retryable)


def _reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        told = response.get("Error", {})
        return scrub(": ".join(str(told[key]) for key in ("Code", "Message") if told.get(key)))
    return scrub(str(error)) or type(error).__name__
