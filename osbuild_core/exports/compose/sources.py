"""The source types: what each of them means, now or as it was locked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from osbuild_core.exports.compose import debian, images, modules, pulp, pungicompose, rawconfig, rpm, tags
from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.lock import Lock
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType

Say = Callable[[str], None]


def resolve(request: ComposeRequest, settings: ComposeSettings) -> ComposeRequest:
    """Return the request with its source made exact, and its revision. Raises ComposeError, ResolveError."""
    _check_supported(request)
    kind = request.source_type
    if kind is SourceType.pulp:
        return pulp.completed(request, settings)
    if kind is SourceType.pungi_compose:
        return pungicompose.completed(request, settings)
    if kind is SourceType.raw_config:
        return dataclasses.replace(request, source=rawconfig.exact_source(request, settings))
    if kind is SourceType.module:
        return dataclasses.replace(request, source=modules.exact_source(request, settings))
    if request.koji_event is not None:
        return request
    event: int | None = None
    if kind is SourceType.tag:
        event = tags.revision(request, settings)
    elif kind is SourceType.repo and debian.is_debian(request):
        event = debian.revision(request, settings)
    elif kind is SourceType.repo:
        event = rpm.revision(request.sources(), request, settings)
    return dataclasses.replace(request, koji_event=event)


_OF_KOJI = (
    *("modular_koji_tags", "scratch_modules", "scratch_build_tasks", "module_defaults_url"),
    *("base_module_br_name", "base_module_br_stream"),
    *("base_module_br_stream_version_lte", "base_module_br_stream_version_gte"),
)


def _check_supported(request: ComposeRequest) -> None:
    """Raise ComposeError ``compose.unsupported`` for what would be missing from the compose, were it passed over."""
    for name in _OF_KOJI:
        if getattr(request, name) not in ((), None):
            raise ComposeError(
                f"{name} means something to Koji and the module build service only",
                code="compose.unsupported",
                hint="leave it out; modules are named as name:stream in a source of the type module",
            )
    if request.modules and request.source_type is not SourceType.module:
        raise ComposeError(
            f"a source of the type {request.source_type.name} has no modules",
            code="compose.unsupported",
            hint="name them in a source of the type module",
        )
    images.check_results(request)


def lock(request: ComposeRequest, settings: ComposeSettings, say: Say) -> Lock:
    """Choose what a resolved request is to have. Raises ComposeError, ResolveError."""
    _check_supported(request)
    chosen = _chosen(request, settings, say)
    return images.with_images(chosen, settings) if images.ISO in request.results else chosen


def _chosen(request: ComposeRequest, settings: ComposeSettings, say: Say) -> Lock:
    match request.source_type:
        case SourceType.repo if debian.is_debian(request):
            return debian.lock(request, settings, say)
        case SourceType.repo:
            return rpm.lock(request, rpm.RpmSource(request.sources()), settings, say)
        case SourceType.tag:
            other = tags.debian_request(request, settings)
            if other is not None:
                return debian.lock(other, settings, say)
            return rpm.lock(request, tags.rpm_source(request, settings), settings, say)
        case SourceType.build:
            return rpm.lock(request, tags.build_source(request, settings), settings, say)
        case SourceType.pungi_compose:
            request = pungicompose.completed(request, settings)
            return rpm.lock(request, pungicompose.rpm_source(request, settings), settings, say)
        case SourceType.module:
            return rpm.lock(request, modules.rpm_source(request, settings), settings, say)
        case SourceType.pulp:
            return pulp.lock(request, settings)
        case SourceType.raw_config:
            return rawconfig.lock(request, settings, say)
