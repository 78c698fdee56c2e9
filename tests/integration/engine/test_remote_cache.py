"""Two machines that share a cache: here two stores, that never see each other."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.engine.context import Context
from osbuild_core.engine.session import Session
from osbuild_core.engine.settings import Settings
from osbuild_core.engine.sharing import pull_built
from osbuild_core.model.plan import Plan, PlannedPipeline
from osbuild_core.model.results import PipelineResult
from tests.integration.engine.conftest import OSBUILD, Bench, eventually
from tests.integration.engine.test_build import HELLO, SOURCES, skeleton
from tests.integration.engine.test_filesystems import FS_UUID, disk
from tests.integration.engine.test_filesystems import SOURCES as FILE_SOURCES

pytestmark = pytest.mark.root


class Machines:
    """``one`` and ``two`` build with stores of their own and the same cache."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.cache = bench.directory / "cache"
        self.url = f"file://{self.cache}"

    def build(self, store: str, manifest: Path, *arguments: Any) -> subprocess.CompletedProcess[str]:
        options = ["--store", self.store(store), "--libdir", self.bench.library]
        if "--remote-cache" not in arguments:
            options += ["--remote-cache", self.url]
        return self.bench.run("build", *options, manifest, *arguments)

    def store(self, name: str) -> Path:
        return self.bench.directory / name

    def ran(self, store: str, manifest: Path, *arguments: Any) -> list[tuple[str, int]]:
        """Build; return which stages ran."""
        done = self.build(store, manifest, "--json", *arguments)
        assert done.returncode == 0, done.stderr
        pipelines = json.loads(done.stdout)["pipelines"]
        return [(p["name"], i) for p in pipelines for i, s in enumerate(p["stages"]) if not s["cached"]]

    def records(self) -> list[Path]:
        return sorted((self.cache / "objects").glob("*"))


@pytest.fixture
def machines(bench: Bench) -> Machines:
    return Machines(bench)


def metadata_stage(bench: Bench) -> dict[str, Any]:
    bench.add_stage(
        "org.osbuild.says",
        "osbuild.api.metadata({'built': True}); open(args['tree'] + '/said', 'w').close()",
    )
    return {"type": "org.osbuild.says"}


def test_what_one_machine_built_another_one_takes(machines: Machines) -> None:
    bench = machines.bench
    tree, tar = skeleton()
    tree["stages"].append(metadata_stage(bench))
    manifest = bench.manifest(tree, tar, sources=SOURCES)
    first = machines.build("one", manifest)
    assert first.returncode == 0, first.stderr
    assert "remote cache: 5 layers and 1 source files put there" in first.stderr
    second = machines.build("two", manifest, "--export", "tree", "-o", bench.directory / "out")
    assert second.returncode == 0, second.stderr
    assert "tree: 4 stages from the remote cache (4 layers" in second.stderr
    assert "0 stages run, 4 in the store, 0 items fetched" in second.stderr
    assert (bench.directory / "out/tree/etc/hostname").read_text() == "one\n"
    document = json.loads(machines.build("two", manifest, "--pipeline", "tree", "--json").stdout)
    (pipeline,) = document["pipelines"]
    assert pipeline["stages"][3]["metadata"] == {"built": True}
    # The sources of what was taken were of no use.
    assert not (machines.store("two") / "sources/org.osbuild.files").exists()
    assert bench.leftovers() == []


def test_a_pipeline_of_its_own_stands_on_what_another_machine_built(machines: Machines) -> None:
    """As the jobs of a cluster do: each builds one pipeline, and finds there what it takes."""
    manifest = machines.bench.manifest(*skeleton(), sources=SOURCES)
    assert machines.ran("one", manifest, "--pipeline", "tree") == [("tree", 0), ("tree", 1), ("tree", 2)]
    assert machines.ran("two", manifest, "-p", "tar") == [("tar", 0)]
    assert machines.ran("three", manifest, "-p", "tar", "-p", "tree") == []


def test_only_what_changed_is_built_and_only_that_is_put_there(machines: Machines) -> None:
    manifest = machines.bench.manifest(*skeleton("one"), sources=SOURCES)
    machines.ran("one", manifest)
    before = machines.records()
    other = machines.bench.manifest(*skeleton("two"), sources=SOURCES)
    assert machines.ran("two", other) == [("tree", 2), ("tar", 0)]
    new = [json.loads(path.read_text()) for path in machines.records() if path not in before]
    assert len(new) == 2
    assert {record["parent"] for record in new} & {path.stem for path in before}


def test_the_plan_says_what_is_there(machines: Machines) -> None:
    bench = machines.bench
    manifest = bench.manifest(*skeleton(), sources=SOURCES)
    machines.ran("one", manifest, "--pipeline", "tree")
    options = ["--store", machines.store("two"), "--libdir", bench.library, "--remote-cache", machines.url]
    shown = bench.run("plan", *options, manifest)
    assert shown.returncode == 0, shown.stderr
    assert "tree: in the remote cache (3 stages)" in shown.stdout
    assert "1 stages to run, 0 in the store, 3 in the remote cache, 0 items to fetch" in shown.stdout
    document = json.loads(bench.run("plan", *options, manifest, "--json").stdout)
    assert [pipeline["remote"] for pipeline in document["pipelines"]] == [True, False]
    assert not machines.store("two").exists()


def test_what_the_store_had_before_goes_there_too(machines: Machines) -> None:
    bench = machines.bench
    manifest = bench.manifest(*skeleton(), sources=SOURCES)
    options = ["--store", machines.store("one"), "--libdir", bench.library]
    assert bench.run("build", *options, manifest).returncode == 0
    assert machines.ran("one", manifest) == []
    assert machines.ran("two", manifest) == []


def test_the_other_command_has_it_by_the_environment(machines: Machines) -> None:
    bench = machines.bench
    manifest = bench.manifest(*skeleton(), sources=SOURCES)
    machines.ran("one", manifest)
    bench.environment["OSBUILD_CORE_REMOTE_CACHE"] = machines.url
    options = ["--store", machines.store("two"), "--libdir", bench.library, "--output-directory", "out"]
    options = [*options[:-1], bench.directory / "out", "--export", "tar", "--checkpoint", "tree"]
    done = bench.run(manifest, *options, program=OSBUILD)
    assert done.returncode == 0, done.stderr
    assert "tar: 1 stages from the remote cache" in done.stdout
    assert (bench.directory / "out/tar/t.tar").exists()


def test_sources_come_from_there_and_are_checked(machines: Machines) -> None:
    bench = machines.bench
    manifest = bench.manifest(*skeleton(), sources=SOURCES)
    done = machines.build("one", manifest, "--fetch-only")
    assert "remote cache: 0 layers and 1 source files put there, 6 B" in done.stderr
    shared = machines.cache / "sources/org.osbuild.files" / HELLO
    assert shared.read_text() == "hello\n"
    # Where this comes from by itself there is nothing to be had any more.
    broken = {"org.osbuild.curl": {"items": {HELLO: {"url": "http://127.0.0.1:9/hello"}}}}
    gone = bench.manifest(*skeleton(), sources=broken)
    done = machines.build("two", gone, "--fetch-only")
    assert done.returncode == 0 and "1 items fetched" in done.stderr, done.stderr
    shared.write_text("other\n")
    whole = bench.manifest(*skeleton(), sources=SOURCES)
    done = machines.build("three", whole, "--fetch-only")
    assert done.returncode == 0, done.stderr
    assert "a source file does not have its checksum" in done.stderr
    own = machines.store("three") / "sources/org.osbuild.files" / HELLO
    assert own.read_text() == shared.read_text() == "hello\n"


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)


@pytest.mark.parametrize("where", ["layer", "its start", "record", "cut short", "missing", "no file"])
def test_a_damaged_entry_is_built_anew_and_replaced(machines: Machines, where: str) -> None:
    manifest = machines.bench.manifest(*skeleton(), sources=SOURCES)
    machines.ran("one", manifest, "-p", "tree")
    hostname = next(
        p for p in machines.records() if len(json.loads(p.read_text())["document"]["stages"]) == 3
    )
    layer = machines.cache / f"layers/{json.loads(hostname.read_text())['layer']}.tar.zst"
    if where == "record":
        flip(hostname, hostname.read_bytes().index(b"seconds") + 3)
    elif where == "cut short":
        layer.write_bytes(layer.read_bytes()[:-7])
    elif where == "missing":
        layer.unlink()
    elif where == "no file":
        layer.unlink()
        os.mkfifo(layer)
    else:
        flip(layer, layer.stat().st_size // 2 if where == "layer" else 0)
    done = machines.build("two", manifest, "-p", "tree", "--json")
    assert done.returncode == 0, done.stderr
    warned = machines.build("three", manifest, "-p", "tree", "--remote-cache-read-only")
    assert warned.returncode == 0, warned.stderr
    if where != "no file":
        # The second one built it, and put it there; so the third had nothing to do.
        assert "0 stages run" in warned.stderr, warned.stderr
        assert "warning" not in warned.stderr
    else:
        assert "it is no file" in warned.stderr


def test_a_cache_that_may_only_be_read(machines: Machines) -> None:
    manifest = machines.bench.manifest(*skeleton(), sources=SOURCES)
    machines.ran("one", manifest, "-p", "tree")
    before = sorted(machines.cache.rglob("*"))
    assert machines.ran("two", manifest, "--remote-cache-read-only") == [("tar", 0)]
    assert sorted(machines.cache.rglob("*")) == before


def test_an_address_that_is_none_is_refused(machines: Machines) -> None:
    manifest = machines.bench.manifest(*skeleton(), sources=SOURCES)
    for url, said in {
        "s3://user:password@bucket/prefix": "there is no remote cache for s3: addresses",
        "/shared/cache": "did you mean file:///shared/cache?",
        "file://elsewhere/cache": "does not name a directory of this machine",
    }.items():
        done = machines.build("one", manifest, "--remote-cache", url)
        assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr
        assert "password" not in done.stderr


def test_a_cache_that_is_not_there_is_a_warning(machines: Machines) -> None:
    manifest = machines.bench.manifest(*skeleton(), sources=SOURCES)
    done = machines.build("one", manifest, "--remote-cache", f"file://{machines.cache}/not/mounted")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("warning: the remote cache: ") == 1
    assert "4 stages run" in done.stderr
    assert not machines.cache.exists()


def test_a_full_cache_is_a_warning(machines: Machines) -> None:
    bench = machines.bench
    bench.add_stage(
        "org.osbuild.large",
        "with open(args['tree'] + '/large', 'wb') as file: file.write(os.urandom(3 << 20))",
    )
    manifest = bench.manifest({"name": "tree", "stages": [{"type": "org.osbuild.large"}]})
    machines.cache.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", machines.cache], check=True)
    try:
        done = machines.build("one", manifest)
        assert done.returncode == 0, done.stderr
        assert "No space left on device" in done.stderr and "nothing is put there" in done.stderr
        assert not any(path.is_file() for path in machines.cache.rglob("*"))
    finally:
        subprocess.run(["umount", machines.cache], check=True)


def waiting_stage(bench: Bench) -> dict[str, Any]:
    """Return a stage that waits until there is a file ``gate/go``."""
    gate = bench.directory / "gate"
    gate.mkdir()
    bench.add_service(
        "mounts/org.osbuild.gate",
        "self.point = os.path.join(args['root'], 'gate')\nos.makedirs(self.point)\n"
        f"os.system(f'mount --bind {gate} {{self.point}}')\nreturn self.point",
        "os.system(f'umount {self.point}')",
    )
    bench.add_stage(
        "org.osbuild.wait", "while not os.path.exists('/run/osbuild/mounts/gate/go'): time.sleep(0.01)"
    )
    return {"type": "org.osbuild.wait", "mounts": [{"name": "gate", "type": "org.osbuild.gate"}]}


def test_a_superseded_attempt_publishes_nothing(machines: Machines) -> None:
    bench = machines.bench
    fence = bench.directory / "fence"
    fence.write_text("attempt-1\n")
    waiting = waiting_stage(bench)
    stages = [{"type": "org.osbuild.noop", "options": {"n": 1}}, waiting]
    manifest = bench.manifest({"name": "tree", "stages": stages})
    process = bench.start(manifest, "--remote-cache", machines.url, "--fence", f"{fence}:attempt-1")
    assert eventually(lambda: len(machines.records()) == 1)
    fence.write_text("attempt-2\n")
    (bench.directory / "gate/go").touch()
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "this attempt has been superseded" in said
    assert len(machines.records()) == 1
    # The one that counts builds what is missing.
    bench.environment["OSBUILD_CORE_FENCE"] = f"{fence}:attempt-2"
    done = machines.build("two", manifest)
    assert "tree: 1 stages from the remote cache" in done.stderr and "done in" in done.stderr, done.stderr
    shutil.rmtree(machines.store("two"))
    fence.unlink()
    done = machines.build("two", manifest)
    assert done.returncode == 1 and "cannot be read" in done.stderr


def test_a_disk_goes_there_once_and_comes_back_with_its_holes(machines: Machines) -> None:
    """Its stages write into one file: each of them as an entry would be the whole disk again."""
    bench = machines.bench
    manifest = bench.manifest(*disk("ext4", FS_UUID.format(7)), sources=FILE_SOURCES)
    machines.ran("one", manifest, "--pipeline", "disk")
    images = [json.loads(path.read_text()) for path in machines.records()]
    images = [image for image in images if image["document"]["pipeline"] == "disk"]
    assert [len(image["document"]["stages"]) for image in images] == [6]
    assert images[0]["unpacked"] < 30 << 20
    for name in ("one", "two"):
        done = machines.build(name, manifest, "--export", "disk", "-o", bench.directory / f"out-{name}")
        assert done.returncode == 0 and " 0 stages run" in done.stderr, done.stderr
    copies = [bench.directory / f"out-{name}/disk/disk.img" for name in ("one", "two")]
    assert copies[0].read_bytes() == copies[1].read_bytes()
    assert copies[1].stat().st_blocks * 512 < copies[1].stat().st_size
    assert machines.ran("two", manifest, "--pipeline", "seen") == [("seen", 0), ("seen", 1)]


def test_without_zstd_there_is_no_cache(machines: Machines) -> None:
    bench = machines.bench
    manifest = bench.manifest(*skeleton(), sources=SOURCES)
    machines.ran("one", manifest)
    programs = bench.directory / "bin"
    programs.mkdir()
    for directory in ("/usr/sbin", "/usr/bin"):
        for program in Path(directory).iterdir():
            if program.name != "zstd" and not (programs / program.name).is_symlink():
                (programs / program.name).symlink_to(program)
    bench.environment["PATH"] = str(programs)
    for store, pushed in (("two", True), ("three", False)):
        done = machines.build(store, manifest)
        assert done.returncode == 0 and "4 stages run" in done.stderr, done.stderr
        assert done.stderr.count("warning") == 1 and "install the package zstd" in done.stderr
        if pushed:
            shutil.rmtree(machines.cache)


def test_who_interrupts_a_build_does_not_wait_for_the_cache(machines: Machines) -> None:
    bench = machines.bench
    stages = [{"type": "org.osbuild.noop", "options": {"n": 1}}, waiting_stage(bench)]
    manifest = bench.manifest({"name": "tree", "stages": stages})
    process = bench.start(manifest, "--remote-cache", machines.url)
    assert eventually(lambda: len(machines.records()) == 1)
    said = bench.stop(process, signal.SIGINT)
    assert process.returncode == 130 and "Traceback" not in said
    assert bench.leftovers() == []


def test_what_is_kept_longest_is_so_wherever_it_came_from(machines: Machines) -> None:
    manifest = machines.bench.manifest(*skeleton(), sources=SOURCES)
    machines.ran("one", manifest)
    machines.ran("two", manifest, "--pipeline", "tree", "--checkpoint", "tree")
    assert len(list((machines.store("two") / "objects").glob("*/pinned"))) == 1


def test_programs_name_it_in_their_settings(machines: Machines) -> None:
    """As the executor of a cluster does: others built it, and the tree comes when it is asked for."""
    bench = machines.bench
    manifest = bench.manifest(*skeleton(), sources=SOURCES)
    document = json.loads(manifest.read_text())

    class Elsewhere:
        session: Context

        def run_pipeline(self, plan: Plan, planned: PlannedPipeline) -> PipelineResult:
            assert machines.build("one", manifest, "--pipeline", planned.name).returncode == 0
            success = pull_built(self.session, planned)
            return PipelineResult(planned.name, planned.pipeline.id, success)

    settings = Settings(store=machines.store("two"), library=bench.library, remote_cache=machines.url)

    def elsewhere(context: Context) -> Elsewhere:
        executor.session = context
        return executor

    executor = Elsewhere()
    with Session(settings, executor=elsewhere) as session:
        loaded = session.load(document)
        result = session.build(loaded, exports=["tar"], output_directory=bench.directory / "out")
    assert result.success, result
    assert (bench.directory / "out/tar/t.tar").exists()
