"""``osbuild-core build``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from osbuild_core.cli.build_array import Build, Shown, Wanted, array_document, build_array, print_failures
from osbuild_core.cli.build_cluster import cluster_options
from osbuild_core.cli.commands import Place, json_option, manifest_argument
from osbuild_core.cli.documents import print_json, read_manifest
from osbuild_core.cli.event_file import event_file
from osbuild_core.cli.lines import seconds
from osbuild_core.cli.options import (
    Mirror,
    Size,
    exports_option,
    pipelines_option,
    remote_options,
    settings_of,
    store_options,
)
from osbuild_core.cli.progress import watched_session
from osbuild_core.cli.report import failure_document, failure_lines
from osbuild_core.engine.settings import default_jobs
from osbuild_core.model.results import PipelineResult, RunResult

if TYPE_CHECKING:
    from osbuild_core.cli.debug import Debug
    from osbuild_core.exports.jobs.cluster.executor import Cluster


@click.command()
@manifest_argument
@click.argument("more", nargs=-1, metavar="[MANIFEST]...")
@exports_option
@pipelines_option
@click.option("--output-directory", "-o", type=Place(path_type=Path), help="Where exports go.")
@click.option("--checkpoint", "-c", multiple=True, metavar="GLOB", help="Keep these stages longest.")
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(1),
    metavar="N",
    default=default_jobs,
    help="Pipelines at once. [default: processors]",
)
@click.option("--keep-going", "-k", is_flag=True, help="After a failure, finish what does not depend on it.")
@click.option("--cache-max-size", type=Size(), help="Evict old objects above this size.")
@click.option(
    "--stage-timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Longest run of a stage.",
)
@click.option(
    "--mirror",
    "mirrors",
    type=Mirror(),
    multiple=True,
    metavar="URL=URL",
    help="Where to look for what cannot be fetched: for addresses that begin with the first, the second.",
)
@click.option(
    "--fetch-only", is_flag=True, help="Download what the exports need, or all that is listed; build nothing."
)
@click.option(
    "--events",
    type=Place(path_type=Path),
    metavar="FILE",
    help="Append what happens to FILE, each event as a line of JSON.",
)
@cluster_options
@click.option("--verbose", "-v", is_flag=True, help="Show what stages print.")
@click.option("--quiet", "-q", is_flag=True, help="Show errors only.")
@click.option(
    "--fence",
    metavar="FILE:TOKEN",
    envvar="OSBUILD_CORE_FENCE",
    help="Stop, and publish nothing, once FILE has another content than TOKEN.",
)
@click.option("--host", hidden=True, metavar="FINGERPRINT", help="The host for which it was planned.")
@json_option
@remote_options
@store_options
@click.pass_obj
def command(
    debug: Debug | None,
    /,
    manifest: str,
    more: tuple[str, ...],
    exports: tuple[str, ...],
    pipelines: tuple[str, ...],
    output_directory: Path | None,
    as_json: bool,
    fetch_only: bool,
    verbose: bool,
    quiet: bool,
    checkpoint: tuple[str, ...],
    libdir: tuple[str, ...],
    store_backend: str | None,
    mirrors: tuple[tuple[str, str], ...],
    events: Path | None,
    cluster: Cluster | None,
    **settings: Any,
) -> int:
    """Build MANIFEST (a file, or - for standard input).

    Without --export and --pipeline every pipeline that no other uses is built and kept in the store. With --on and
    --array there may be several manifests; what they export goes to a directory of its own for each.
    """
    instead = tuple((prefix, tuple(m for p, m in mirrors if p == prefix)) for prefix in dict(mirrors))
    chosen = settings_of(libdir, store_backend, mirrors=instead, **settings)
    if cluster is not None and cluster.settings.array:
        wanted = Wanted(exports, pipelines, checkpoint, output_directory)
        with event_file(events) as also:
            show = Shown(verbose, quiet or as_json, also)
            builds = build_array(cluster, chosen, (manifest, *more), wanted, show)
        return _report_array(builds, as_json=as_json, quiet=quiet)
    document = read_manifest(manifest)
    with (
        event_file(events) as also,
        watched_session(
            chosen,
            verbose=verbose,
            quiet=quiet or as_json,
            debug=debug,
            also=also,
            executor=cluster.executor(document) if cluster else None,
            around=cluster,
        ) as session,
    ):
        loaded = session.load(document)
        if fetch_only:
            result = session.fetch(loaded, exports=exports, pipelines=pipelines or None)
        else:
            result = session.build(
                loaded,
                exports=exports,
                pipelines=pipelines or None,
                checkpoint=checkpoint,
                output_directory=output_directory,
            )
    if as_json:
        print_json(result_document(result))
    for line in failure_lines(result):
        print(line, file=sys.stderr)
    if "resolve" in (loaded.metadata or {}) and any(source.error for source in result.sources):
        from osbuild_core.resolve import resolve_again_hint

        command = resolve_again_hint(loaded.metadata)
        print(f"hint: where a package has vanished from its mirror, resolve anew: {command}", file=sys.stderr)
    if result.success and not quiet and not as_json:
        print(summary(result), file=sys.stderr)
    return 0 if result.success else 1


def _report_array(builds: list[Build], *, as_json: bool, quiet: bool) -> int:
    """Print what came of several builds; return the exit status."""
    if as_json:
        print_json(array_document(builds, result_document))
    print_failures(builds)
    for build in builds:
        if isinstance(build.ended, RunResult) and build.success and not quiet and not as_json:
            print(f"{build.label}: {summary(build.ended)}", file=sys.stderr)
    return 0 if all(build.success for build in builds) else 1


def summary(result: RunResult) -> str:
    """Return one line on what a run did."""
    stages = [stage for pipeline in result.pipelines for stage in pipeline.stages]
    cached = sum(1 for stage in stages if stage.cached)
    fetched = sum(1 for source in result.sources for item in source.items if not item.cached)
    counts = f"{len(stages) - cached} stages run, {cached} in the store, {fetched} items fetched"
    return f"done in {seconds(result.seconds)}: {counts}"


def result_document(result: RunResult) -> dict[str, Any]:
    """Return ``result`` for ``--json``: each stage on its own, with ``cached``."""
    return {
        "success": result.success,
        "seconds": round(result.seconds, 3),
        "pipelines": [_pipeline_document(pipeline) for pipeline in result.pipelines],
        "sources": [
            {
                "type": source.type,
                "success": source.success,
                "error": failure_document(source.error) if source.error else None,
                "items": [
                    {"checksum": i.checksum, "success": i.success, "cached": i.cached, "error": i.error}
                    for i in source.items
                ],
            }
            for source in result.sources
        ],
        "exports": [
            {
                "name": export.name,
                "success": export.success,
                "path": export.path,
                "data": dict(export.data),
                "error": failure_document(export.error) if export.error else None,
            }
            for export in result.exports
        ],
    }


def _pipeline_document(pipeline: PipelineResult) -> dict[str, Any]:
    return {
        "name": pipeline.name,
        "id": pipeline.id,
        "success": pipeline.success,
        "error": failure_document(pipeline.error) if pipeline.error else None,
        "stages": [
            {
                "type": stage.type,
                "id": stage.id,
                "success": stage.success,
                "cached": stage.cached,
                "seconds": round(stage.seconds, 3),
                "metadata": stage.metadata,
                "output": stage.output,
                "log": stage.log,
                "error": failure_document(stage.error) if stage.error else None,
            }
            for stage in pipeline.stages
        ],
    }
