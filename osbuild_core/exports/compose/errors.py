"""What can go wrong on the way to a compose, as errors of ours: one line, the place, a hint."""

from __future__ import annotations

from osbuild_core.model.errors import OsbuildError


class ComposeError(OsbuildError):
    """A compose cannot be made, or a request for one is refused.

    Codes: ``compose.request`` (the request is wrong), ``compose.source`` (its source is unknown, cannot be reached
    or is not what it should be), ``compose.packages`` (packages are missing), ``compose.dependencies``,
    ``compose.unsigned``, ``compose.build`` (the engine failed), ``compose.sign``, ``compose.place``,
    ``compose.cancelled``, ``compose.unsupported``, ``compose.dependency`` (a library or program is not installed).
    """

    code = "compose"
