"""The session from Python: several runs, another executor, mirrors and sizes."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
from pathlib import Path

import pytest

from osbuild_core import Session, Settings
from osbuild_core.model.events import SourceProgress
from osbuild_core.model.results import PipelineResult, StageResult

pytestmark = pytest.mark.root


def noop(n: int):
    return {"type": "org.osbuild.noop", "options": {"n": n}}


def document(*stages, **more):
    return {"version": "2", "pipelines": [{"name": "p", "stages": list(stages)}], **more}


def test_a_failed_run_does_not_cancel_the_next(tmp_path: Path):
    failing = document({"type": "org.osbuild.error", "options": {"returncode": 1}})
    with Session(Settings(store=tmp_path / "store")) as session:
        assert not session.build(session.load(failing)).success
        assert session.build(session.load(document(noop(1)))).success


def test_another_executor_gets_the_pipelines(tmp_path: Path):
    class Elsewhere:
        def __init__(self) -> None:
            self.asked: list[str] = []

        def run_pipeline(self, plan, planned):
            self.asked.append(planned.name)
            stages = tuple(
                StageResult(planned.name, s.number, s.stage.type, s.stage.id, True) for s in planned.stages
            )
            return PipelineResult(planned.name, planned.pipeline.id, True, stages)

    executor = Elsewhere()
    with Session(Settings(store=tmp_path / "store"), executor=lambda _: executor) as session:
        assert session.build(session.load(document(noop(1)))).success
    assert executor.asked == ["p"]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_a_mirror_is_tried_and_progress_knows_the_size(tmp_path: Path):
    content = b"x" * 100_000
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "file").write_bytes(content)
    handler = functools.partial(Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{server.server_address[1]}/"
        gone = f"{here}gone/"
        manifest = document(
            {
                "type": "org.osbuild.noop",
                "inputs": {
                    "f": {
                        "type": "org.osbuild.files",
                        "origin": "org.osbuild.source",
                        "references": [checksum],
                    }
                },
            },
            sources={"org.osbuild.curl": {"items": {checksum: {"url": f"{gone}file"}}}},
            metadata={"resolve": {"template": "t.yaml", "sizes": {checksum: len(content)}}},
        )
        events = []
        settings = Settings(store=tmp_path / "store", mirrors=((gone, (here,)),))
        with Session(settings, events.append) as session:
            assert session.build(session.load(manifest)).success
        server.shutdown()
    assert (tmp_path / "store" / "sources" / "org.osbuild.files" / checksum).read_bytes() == content
    progress = [event for event in events if isinstance(event, SourceProgress)]
    assert {event.expected for event in progress} == {len(content)}
