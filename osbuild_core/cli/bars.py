"""Progress on a terminal: a bar for each pipeline that runs, and one for the downloads."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from osbuild_core.cli.lines import on_one_line, pulled, pushed, seconds, size
from osbuild_core.model import events
from osbuild_core.model.results import ExportResult, SourceResult


class Bars:
    """An event sink; a context manager that owns the lower part of the terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[now]}", markup=False),
            console=self._console,
        )
        self._pipelines: dict[str, TaskID] = {}
        self._sources: dict[str, TaskID] = {}
        self._exports: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._progress.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.__exit__(None, None, None)
        sys.stderr.flush()

    def __call__(self, event: events.Event) -> None:
        progress = self._progress
        match event:
            case events.PipelineStarted(pipeline=name, first=first, total=total):
                self._pipelines[name] = progress.add_task(
                    on_one_line(name), total=total, completed=first, now=""
                )
            case events.PipelineNote(pipeline=name, message=message):
                progress.update(self._pipelines[name], now=message)
            case events.StageStarted(pipeline=name, type=kind):
                progress.update(self._pipelines[name], now=kind)
            case events.StageFinished(result=result) if result.success:
                progress.advance(self._pipelines[result.pipeline])
            case events.PipelineFinished(result=result):
                state = f"done in {seconds(result.seconds)}" if result.success else "failed"
                errors = (result.error, *(stage.error for stage in result.stages))
                if any(error is not None and error.code == "cancelled" for error in errors):
                    state = "cancelled"
                progress.update(self._pipelines[result.name], now=state)
                progress.stop_task(self._pipelines[result.name])
            case events.SourceStarted(type=kind, items=items):
                task = self._sources.get(kind)
                if task is None:
                    self._sources[kind] = progress.add_task(f"fetch {kind}", total=items, now="")
                else:
                    progress.update(task, total=(progress.tasks[task].total or 0) + items)
            case events.SourceProgress(type=kind, done=done, received=received, expected=expected):
                now = f"{size(received)} of {size(expected)}" if expected else size(received)
                before = int(progress.tasks[self._sources[kind]].fields.get("before", 0))
                progress.update(self._sources[kind], now=now, completed=before + done)
            case events.SourceFinished(result=result):
                self._finish_source(result)
            case events.ExportStarted(name=name, type=kind) if kind:
                self._exports[name] = progress.add_task(f"export {on_one_line(name)}", total=None, now=kind)
            case events.ExportProgress(name=name, done=done, total=total, message=message):
                self._show_export(self._exports[name], done, total, message)
            case events.ExportFinished(result=result) if result.name in self._exports:
                self._finish_export(self._exports[result.name], result)
            case events.Pulled(pipeline=name):
                progress.console.print(f"{name}: {pulled(event)}", markup=False)
            case events.Pushed():
                progress.console.print(pushed(event), markup=False)
            case events.Warned(message=message):
                progress.console.print(f"warning: {message}", markup=False)
            case _:
                pass

    def _show_export(self, task: TaskID, done: int, total: int, message: str) -> None:
        if total:
            # In megabytes, so that a column that counts things has room for it.
            self._progress.update(task, completed=done // 1_000_000, total=-(-total // 1_000_000))
        now = message or (f"{size(done)} of {size(total)}" if total else "")
        if now:
            self._progress.update(task, now=now)

    def _finish_export(self, task: TaskID, result: ExportResult) -> None:
        self._progress.update(task, now="done" if result.success else "failed")
        self._progress.stop_task(task)

    def _finish_source(self, result: SourceResult) -> None:
        task = self._progress.tasks[self._sources[result.type]]
        counted = sum(1 for item in result.items if item.success)
        done = int(task.fields.get("before", 0)) + counted
        self._progress.update(
            task.id, completed=done, before=done, now="done" if result.success else "failed"
        )
