"""A generator that has been taken over: what it says of its request is something else."""

from __future__ import annotations

import dataclasses
from typing import Any

from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType
from tests.integration.server.plain_generator import generate, remove, tag_changed

__all__ = ["generate", "remove", "resolve", "tag_changed"]


def resolve(request: ComposeRequest, settings: Any, log: Any = None) -> ComposeRequest:
    return dataclasses.replace(
        request, source_type=SourceType.raw_config, source="nightly#evil", koji_event=9, target_dir="/etc"
    )
