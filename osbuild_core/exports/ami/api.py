"""The commands as functions, with awspub's names, arguments and results."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import TYPE_CHECKING

from osbuild_core.exports.ami.context import Context
from osbuild_core.exports.ami.events import Sink

if TYPE_CHECKING:
    from osbuild_core.exports.ami.drift import ImageVerificationErrors
    from osbuild_core.exports.ami.planning import Plan
    from osbuild_core.exports.ami.run import Groups, Images

Steps = dict[str, dict[str, builtins.list[str]]]
"""{image: {region: what was done}}."""


def create(
    config: Path,
    config_mapping: Path | None = None,
    group: str | None = None,
    *,
    on_event: Sink | None = None,
    state_dir: Path | None = None,
) -> tuple[Images, Groups]:
    """Make the images of a configuration, where they are missing; return their ids by name and by group.

    Raises IncompleteError where a region failed (its ``result`` has the others), AwsError for anything else.
    """
    from osbuild_core.exports.ami.run import create_images

    with Context(config, config_mapping, on_event=on_event, state_dir=state_dir) as context:
        result = create_images(context, group)
    result.raise_for_failures()
    return result.images, result.groups


def list(
    config: Path,
    config_mapping: Path | None = None,
    group: str | None = None,
    *,
    on_event: Sink | None = None,
    state_dir: Path | None = None,
) -> tuple[Images, Groups]:
    """Return the ids of the images that there are, by name and by group. Raises as :func:`create`."""
    from osbuild_core.exports.ami.run import list_images

    with Context(config, config_mapping, on_event=on_event, state_dir=state_dir) as context:
        result = list_images(context, group)
    result.raise_for_failures()
    return result.images, result.groups


def plan(
    config: Path,
    config_mapping: Path | None = None,
    group: str | None = None,
    *,
    on_event: Sink | None = None,
    state_dir: Path | None = None,
) -> Plan:
    """Return what :func:`create` would do. Raises AwsError."""
    from osbuild_core.exports.ami.run import plan_images

    with Context(config, config_mapping, on_event=on_event, state_dir=state_dir) as context:
        return plan_images(context, group)


def publish(
    config: Path,
    config_mapping: Path | None = None,
    group: str | None = None,
    *,
    on_event: Sink | None = None,
    state_dir: Path | None = None,
) -> Steps:
    """Publish the images; return what was done. Raises as :func:`create`."""
    from osbuild_core.exports.ami.publication import publish_images

    with Context(config, config_mapping, on_event=on_event, state_dir=state_dir) as context:
        result = publish_images(context, group)
    result.raise_for_failures()
    return result.images


def unpublish(
    config: Path,
    config_mapping: Path | None = None,
    group: str | None = None,
    *,
    on_event: Sink | None = None,
    state_dir: Path | None = None,
) -> Steps:
    """Take back what publishing made public; return what was done. Raises as :func:`create`."""
    from osbuild_core.exports.ami.publication import unpublish_images

    with Context(config, config_mapping, on_event=on_event, state_dir=state_dir) as context:
        result = unpublish_images(context, group)
    result.raise_for_failures()
    return result.images


def cleanup(
    config: Path,
    config_mapping: Path | None = None,
    group: str | None = None,
    *,
    on_event: Sink | None = None,
    state_dir: Path | None = None,
) -> Steps:
    """Remove temporary and old images with what they stood on. Raises as :func:`create`."""
    from osbuild_core.exports.ami.removal import cleanup_images

    with Context(config, config_mapping, on_event=on_event, state_dir=state_dir) as context:
        result = cleanup_images(context, group)
    result.raise_for_failures()
    return result.images


def verify(
    config: Path,
    config_mapping: Path | None = None,
    group: str | None = None,
    *,
    on_event: Sink | None = None,
    state_dir: Path | None = None,
) -> dict[str, dict[str, builtins.list[ImageVerificationErrors]]]:
    """Return what is wrong with each image in each region. Raises as :func:`create`.

    The lists are empty where all is well.
    """
    from osbuild_core.exports.ami.verification import verify_images

    with Context(config, config_mapping, on_event=on_event, state_dir=state_dir) as context:
        result = verify_images(context, group)
    if result.failed:
        from osbuild_core.exports.ami.run import IncompleteError, Result

        raise IncompleteError(Result(failed=result.failed))
    return result.errors()
