"""``osbuild-core plan``."""

from __future__ import annotations

from typing import Any

import click

from osbuild_core.cli.commands import json_option, manifest_argument
from osbuild_core.cli.documents import print_json, read_manifest
from osbuild_core.cli.lines import on_one_line
from osbuild_core.cli.options import (
    exports_option,
    pipelines_option,
    remote_options,
    settings_of,
    store_options,
)
from osbuild_core.cli.plan_files import files_options
from osbuild_core.engine.session import Session
from osbuild_core.model.plan import Plan, PlannedPipeline


@click.command()
@manifest_argument
@exports_option
@pipelines_option
@files_options
@json_option
@remote_options
@store_options
def command(
    manifest: str,
    exports: tuple[str, ...],
    pipelines: tuple[str, ...],
    as_json: bool,
    libdir: tuple[str, ...],
    store_backend: str | None,
    **settings: Any,
) -> None:
    """Show what a build of MANIFEST would fetch and run, and what the store has already.

    With --as it is written as something that others run, here or elsewhere, whatever the store has: one shell
    script, Slurm job scripts (a directory), or an Open Job Description template.
    """
    with Session(settings_of(libdir, store_backend, **settings)) as session:
        loaded = session.load(read_manifest(manifest))
        plan = session.plan(loaded, exports=exports, pipelines=pipelines or None)
        found = session.find_store()
        missing = [
            [checksum for checksum in fetch.checksums if not (found and found.sources.has(checksum))]
            for fetch in plan.fetches
        ]
    if as_json:
        print_json(document(plan, missing))
    else:
        for line in lines(plan, missing):
            click.echo(line)


def lines(plan: Plan, missing: list[list[str]]) -> list[str]:
    """Return ``plan`` as text."""
    text = []
    for pipeline in plan.pipelines:
        name = on_one_line(pipeline.name)
        if not pipeline.todo:
            where = "remote cache" if pipeline.remote else "store"
            text.append(f"{name}: in the {where} ({len(pipeline.stages)} stages)")
            continue
        waits = [f"pipeline {on_one_line(other)}" for other in pipeline.pipelines]
        items = sum(len(missing[number]) for number in pipeline.fetches)
        waits += [f"{items} items to fetch"] if items else []
        text.append(f"{name}:" + (f" after {', '.join(waits)}" if waits else ""))
        for stage in pipeline.stages:
            state = "run"
            if stage.number < pipeline.first:
                state = "remote" if pipeline.remote else "cached"
            host = ", on this host" if stage.host else ""
            text.append(f"  {state:6} {stage.stage.type} (key {stage.key[:12]}{host})")
    run = sum(len(p.todo) for p in plan.pipelines)
    cached = sum(p.first for p in plan.pipelines if not p.remote)
    remote = sum(p.first for p in plan.pipelines if p.remote)
    there = f"{cached} in the store, " + (f"{remote} in the remote cache, " if remote else "")
    text.append(f"{run} stages to run, {there}{sum(map(len, missing))} items to fetch")
    return text


def document(plan: Plan, missing: list[list[str]]) -> dict[str, Any]:
    """Return ``plan`` for ``--json``."""
    return {
        "pipelines": [_pipeline(pipeline) for pipeline in plan.pipelines],
        "fetches": [
            {"source": fetch.source, "checksums": list(fetch.checksums), "missing": absent}
            for fetch, absent in zip(plan.fetches, missing, strict=True)
        ],
        "exports": [{"name": name, "pipeline": pipeline} for name, pipeline, _ in plan.exports],
    }


def _pipeline(pipeline: PlannedPipeline) -> dict[str, Any]:
    return {
        "name": pipeline.name,
        "id": pipeline.pipeline.id,
        "needs": list(pipeline.pipelines),
        "fetches": list(pipeline.fetches),
        "remote": pipeline.remote,
        "stages": [
            {
                "type": stage.stage.type,
                "id": stage.stage.id,
                "key": stage.key,
                "run": stage.number >= pipeline.first,
                "host": stage.host,
                "pinned": stage.pinned,
            }
            for stage in pipeline.stages
        ],
    }
