"""Ctrl-C and SIGTERM: the status, well-formed streams, nothing left."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from tests.integration.engine.conftest import eventually
from tests.integration.osbuild_cli.conftest import HELLO, copy_hello, mkdir

pytestmark = pytest.mark.root

RECORDS = ("--monitor=JSONSeqMonitor", "--monitor-fd=3")
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


def waiting(bench):
    """Return a manifest whose second stage does not end by itself."""
    bench.add_stage("org.osbuild.wait", "print('here')\ntime.sleep(3600)")
    return bench.document({"name": "p", "stages": [mkdir("a"), {"type": "org.osbuild.wait"}]})


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_a_signal_during_a_stage(bench, number, status):
    call = bench.begin(waiting(bench), "--export", "p", "--json", *RECORDS)
    call.feed()
    assert eventually(lambda: b"here" in call.monitor), call.wait()
    ran = call.stop(number)
    assert ran.status == status
    assert ran.stderr == {130: "Aborted\n", 143: "Terminated\n"}[status]
    result = ran.result
    assert result.error == "cancelled"
    assert [stage.success for stage in result.log["p"]] == [True, False]
    seen = ran.records
    assert seen[-1].message == "manifest - failed\n"
    assert [s.result["success"] for s in seen if s.result and s.stage] == [True, False]
    assert bench.leftovers() == []
    assert not bench.out.joinpath("p").exists()


@pytest.mark.parametrize(("number", "status"), SIGNALS)
@pytest.mark.parametrize("export", [(), ("--export", "p")], ids=["prefetching", "building"])
def test_a_signal_during_a_download(bench, number, status, export):
    here = bench.directory / "here"
    # As when a server does not answer; what is there so far has another name.
    do = f"open(os.path.join(self.cache, '.part'), 'w').close(); open({str(here)!r}, 'w').close(); time.sleep(3600)"
    bench.add_service("sources/org.osbuild.slow", do)
    manifest = bench.document(
        {"name": "p", "stages": [copy_hello()]}, sources={"org.osbuild.slow": {"items": {HELLO: {}}}}
    )
    call = bench.begin(manifest, *export, "--json", *RECORDS)
    call.feed()
    assert eventually(here.exists), call.wait()
    ran = call.stop(number)
    assert (ran.status, ran.result.error) == (status, "cancelled")
    assert ran.stderr == {130: "Aborted\n", 143: "Terminated\n"}[status]
    assert ran.records[-1].message == "manifest - failed\n"
    assert bench.leftovers() == []
    assert not (bench.store / "sources" / "org.osbuild.files" / HELLO).exists()


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_a_signal_while_the_manifest_is_read(bench, number, status):
    call = bench.begin("", "--export", "p", "--json")
    reading = Path(f"/proc/{call.process.pid}/syscall")
    assert eventually(lambda: reading.read_text().startswith("0 0x0 "))
    ran = call.stop(number)
    assert (ran.status, ran.result.error) == (status, "cancelled")
    assert not bench.store.exists()


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_a_signal_at_any_moment(bench, number, status):
    """Whenever a program has said that it was ended, its document is whole."""
    moments = random.Random(number)
    manifest = bench.document({"name": "p", "stages": [mkdir("a")]})
    path = bench.directory / "manifest.json"
    path.write_text(manifest)
    for _ in range(12):
        own = ("--store", bench.store, "--output-directory", bench.out, "--cache-max-size", "0")
        call = bench.call(*own, "--export", "p", "--json", *RECORDS, path)
        time.sleep(moments.uniform(0.03, 0.5))
        ran = call.stop(number)
        if ran.stderr in ("Aborted\n", "Terminated\n"):
            assert ran.status == status
            assert ran.result.error in ("cancelled", None)
        # Before the interpreter has come to our first line it ends in its own way.
        assert "in main" not in ran.stderr or "the site module" in ran.stderr
        assert ran.records or ran.monitor == b""
        assert bench.leftovers() == []
