"""LogMonitor: text for people, one pipeline after the other, with all that the stages print.

Pipelines run side by side. One of them has the floor: what it says is shown at once, what the others say when it
has ended. So the log reads as if they had run in turn.
"""

from __future__ import annotations

import json

from osbuild_core.cli.lines import printable, pulled, pushed
from osbuild_core.cli.monitors.stream import Stream
from osbuild_core.model import events
from osbuild_core.model.plan import Plan
from osbuild_core.model.results import Failure, RunResult, SourceResult, StageResult


class Turns:
    """Puts what several speakers say at the same time into one order. The first who speaks has the floor."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._clean = stream.terminal
        self._waiting: dict[str, list[str]] = {}
        self._ended: set[str] = set()
        self._floor: str | None = None

    def say(self, speaker: str, text: str) -> None:
        if self._clean:
            text = printable(text)
        if self._floor is None:
            self._floor = speaker
        if speaker == self._floor:
            self._stream.write(text)
        else:
            self._waiting.setdefault(speaker, []).append(text)

    def end(self, speaker: str) -> None:
        """``speaker`` has said all; the next one has the floor."""
        if speaker != self._floor:
            self._ended.add(speaker)
            return
        self._floor = None
        while self._waiting and self._floor is None:
            speaker, texts = next(iter(self._waiting.items()))
            del self._waiting[speaker]
            self._stream.write("".join(texts))
            if speaker in self._ended:
                self._ended.remove(speaker)
            else:
                self._floor = speaker

    def end_all(self) -> None:
        while self._floor is not None:
            self.end(self._floor)


class LogMonitor:
    """An event sink; ``manifest`` is what it calls the manifest."""

    def __init__(self, stream: Stream, manifest: str) -> None:
        self._turns = Turns(stream)
        self._manifest = manifest
        self._plan: Plan | None = None
        self._unfinished: set[str] = set()

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.RunStarted(plan=plan):
                self._plan = plan
                self._note(f"starting {self._manifest}\n")
            case events.RunFinished(result=result):
                self._finish_run(result)
            case events.PipelineStarted(pipeline=name, id=id_, runner=runner):
                self._turns.say(name, self._pipeline_text(name, id_, runner))
            case events.PipelineFinished(result=result):
                self._turns.say(result.name, _failure_text(result.error))
                self._turns.end(result.name)
            case events.StageStarted(pipeline=name, number=number, type=kind, id=id_):
                self._turns.say(name, f"{kind}: {id_} {self._options(name, number)}\n")
            case events.StageOutput(pipeline=name, text=text):
                self._show(name, text)
            case events.StageFinished(result=result):
                self._finish_stage(result)
            case events.SourceStarted(type=kind, id=id_):
                self._turns.say(f"source {kind}", f"Pipeline source {kind}: {id_}\n")
            case events.SourceFinished(result=result):
                self._finish_source(result)
            case events.ExportFinished(result=result):
                done = f"Exported {result.name} to {result.path}\n" if result.success else ""
                self._turns.say(f"export {result.name}", done + _failure_text(result.error))
                self._turns.end(f"export {result.name}")
            case events.Pulled(pipeline=name):
                self._note(f"{name}: {pulled(event)}\n")
            case events.Pushed():
                self._note(f"{pushed(event)}\n")
            case events.Warned(message=message):
                self._note(f"warning: {message}\n")
            case _:
                pass

    def _note(self, text: str) -> None:
        """Say something that is nobody's, where it does not break a line of somebody."""
        self._turns.say("", text)
        self._turns.end("")

    def _pipeline_text(self, name: str, id_: str | None, runner: str | None) -> str:
        lines = [f"Pipeline {name}: {id_}", "Build"]
        pipeline = self._plan.pipeline(name).pipeline if self._plan else None
        build = None
        if self._plan is not None and pipeline is not None and pipeline.build is not None:
            build = self._plan.pipeline(pipeline.build).pipeline.id
        lines.append(f"  root: {build or '<host>'}")
        lines.append(f"  runner: {(pipeline and pipeline.runner) or runner} ({runner})")
        if pipeline is not None and pipeline.source_epoch is not None:
            lines.append(f"  source-epoch: {pipeline.source_epoch}")
        return "\n".join(lines) + "\n"

    def _options(self, name: str, number: int) -> str:
        if self._plan is None:
            return "{}"
        options = self._plan.pipeline(name).stages[number].stage.options
        return json.dumps(options, indent=2, ensure_ascii=False)

    def _show(self, name: str, text: str) -> None:
        self._turns.say(name, text)
        if text.endswith("\n"):
            self._unfinished.discard(name)
        else:
            self._unfinished.add(name)

    def _finish_stage(self, result: StageResult) -> None:
        end = "\n" if result.pipeline in self._unfinished else ""
        self._unfinished.discard(result.pipeline)
        if result.cached:
            text = f"{result.type}: {result.id} is in the store by now\n"
        else:
            text = f"\n⏱  Duration: {result.seconds:.2f}s\n"
        self._turns.say(result.pipeline, end + _failure_text(result.error) + text)

    def _finish_source(self, result: SourceResult) -> None:
        fetched = sum(1 for item in result.items if item.success and not item.cached)
        text = f"{fetched} of {len(result.items)} items fetched\n" + _failure_text(result.error)
        text += f"\n⏱  Duration: {result.seconds:.2f}s\n"
        self._turns.say(f"source {result.type}", text)
        self._turns.end(f"source {result.type}")

    def _finish_run(self, result: RunResult) -> None:
        self._turns.end_all()
        end = "finished successfully" if result.success else "failed"
        text = f"manifest {self._manifest} {end}\n"
        if result.success:
            text += "".join(f"{pipeline.name}:\t{pipeline.id}\n" for pipeline in result.pipelines)
        self._note(text)


def _failure_text(error: Failure | None) -> str:
    return f"Failed: {error.detail}\n" if error else ""
