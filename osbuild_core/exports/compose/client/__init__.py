"""The client of the compose service, with the surface of ODCS's library: for programs that use that one.

``from osbuild_core.exports.compose.client import ODCS, AuthMech`` in the place of ``odcs.client.odcs``.
"""

from osbuild_core.exports.compose.client.connection import ServerError
from osbuild_core.exports.compose.client.odcs import ODCS, AuthMech
from osbuild_core.exports.compose.client.sources import (
    ComposeSourceBuild,
    ComposeSourceGeneric,
    ComposeSourceModule,
    ComposeSourcePulp,
    ComposeSourceRawConfig,
    ComposeSourceRepo,
    ComposeSourceTag,
)

__all__ = [
    "ODCS",
    "AuthMech",
    "ComposeSourceBuild",
    "ComposeSourceGeneric",
    "ComposeSourceModule",
    "ComposeSourcePulp",
    "ComposeSourceRawConfig",
    "ComposeSourceRepo",
    "ComposeSourceTag",
    "ServerError",
]
