"""Files and directories that are not what they should be, disks that are full, stores of others."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.engine.conftest import Bench
from tests.integration.hardening.faces import FACES, Expected, check, leftovers
from tests.modules.sources.web import Web

pytestmark = pytest.mark.root

NOOP = {"type": "org.osbuild.noop", "options": {"n": 1}}
STAGE = ("pipelines", 0, "stages", 0)


def run(code: str, message: str, hint: str = "") -> Expected:
    return Expected("run", code, message, (), hint)


def fails(bench: Bench, expected: Expected, manifest: Path, *more: Any) -> None:
    for face in FACES:
        check(face, bench, face.run(bench, manifest, *more), expected)


def a_noop(bench: Bench) -> Path:
    return bench.manifest({"name": "p", "stages": [NOOP]})


# What the command line names


@pytest.mark.parametrize(
    ("make", "message"),
    [(Path.mkdir, "Is a directory"), (lambda path: None, "No such file"), (Path.touch, "is not JSON")],
    ids=["a directory", "nothing", "an empty file"],
)
def test_a_manifest(bench: Bench, make: Callable[[Path], None], message: str) -> None:
    manifest = bench.directory / "manifest.json"
    make(manifest)
    expected = run("usage.manifest", message)
    if manifest.is_file():
        expected = Expected("manifest", "manifest.json", message)
    fails(bench, expected, manifest)


@pytest.mark.parametrize("make", [lambda path: None, Path.touch], ids=["nothing", "a file"])
def test_a_library_that_is_none(bench: Bench, make: Callable[[Path], None]) -> None:
    manifest = a_noop(bench)
    bench.library = bench.directory / "elsewhere"
    make(bench.library)
    fails(bench, run("module.no-library", str(bench.library), "--libdir"), manifest)


@pytest.mark.parametrize("option", ["--export", "--checkpoint"])
def test_a_name_that_the_manifest_lacks(bench: Bench, option: str) -> None:
    code = f"usage.unknown-{option[2:]}"
    fails(bench, run(code, "'nothing'"), a_noop(bench), option, "nothing")


# Stores


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": 2, "objects": "objects", "tmp": "tmp"}', "has format 2; this program knows 1"),
        ('{"format": 1, "objects": "../objects", "tmp": "tmp"}', "is not what a store has"),
        ("garbage", "is not what a store has"),
        ("\xff\xfe", "is not what a store has"),
        ("[" * 100_000, "is not what a store has"),
        ("", "is not what a store has"),
        ("null", "is not what a store has"),
    ],
)
def test_a_store_of_another_kind(bench: Bench, text: str, message: str) -> None:
    manifest = a_noop(bench)
    bench.store.mkdir()
    (bench.store / "store.json").write_bytes(text.encode("latin-1"))
    fails(bench, run("store.format", message, "director"), manifest)


def test_a_store_that_is_a_file(bench: Bench) -> None:
    bench.store.write_text("here is a file")
    expected = run("store.not-a-directory", "is not a directory", "name another one")
    fails(bench, expected, a_noop(bench))
    assert bench.store.read_text() == "here is a file"


def test_a_store_below_a_file(bench: Bench) -> None:
    bench.store.write_text("here is a file")
    bench.store = bench.store / "store"
    fails(bench, run("store.not-a-directory", "is not a directory", "name another one"), a_noop(bench))


@pytest.mark.parametrize("there", [True, False], ids=["there", "new"])
def test_a_read_only_store(bench: Bench, small_disk: Path, there: bool) -> None:
    bench.store = small_disk / "store"
    manifest = a_noop(bench)
    if there:
        bench.result(manifest)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    fails(bench, run("store.read-only", "", "name a store directory"), manifest)


FILL = """
def fill(directory):
    with open(directory + '/big', 'wb', 0) as file:
        for size in (65536, 4096, 1):
            try:
                while True: file.write(b'x' * size)
            except OSError: pass
"""

LARGE = "open('/run/osbuild/meta', 'w').write('{\"x\": \"' + 'x' * 999999 + '\"}')"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            "with open(args['tree'] + '/big', 'wb', 0) as file:\n    while True: file.write(b'x' * 65536)",
            Expected("stage", "stage.exception", "No space left on device", STAGE),
        ),
        # It is full when the log is written, when there is more and more of that, when the tree is committed.
        (f"{FILL}\nfill(args['tree'])\nprint('z' * 9999999)", "No space left on device"),
        ("for _ in range(400): print('z' * 99999)", "No space left on device"),
        (f"{FILL}\nfill(args['tree'])\n{LARGE}", "committing a tree: No space left on device"),
    ],
    ids=["the stage notices", "its log", "a long log", "its commit"],
)
def test_a_full_disk_under_the_store(
    bench: Bench, small_disk: Path, code: str, expected: Expected | str
) -> None:
    bench.store = small_disk / "store"
    bench.add_stage("org.osbuild.fill", code)
    manifest = bench.manifest({"name": "p", "stages": [{"type": "org.osbuild.fill"}]})
    if isinstance(expected, str):
        expected = Expected("stage", "store.full", expected, STAGE, "free some space")
    for face in FACES:
        check(face, bench, face.run(bench, manifest), expected)
        for log in (bench.store / "logs").iterdir():
            log.unlink()
    bench.result(a_noop(bench))
    assert leftovers(bench) == []


def test_a_disk_that_a_download_fills(bench: Bench, small_disk: Path, web: Web) -> None:
    """What arrived of a file that has no room does not stay: it would take that of others."""
    content = bytes(40 << 20)
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    web.files["/large"] = content
    bench.add_stage("org.osbuild.use", "return 0")
    sources = {"org.osbuild.curl": {"items": {checksum: f"{web.url}/large"}}}
    reference = {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [checksum]}
    stage = {"type": "org.osbuild.use", "inputs": {"i": reference}}
    manifest = bench.manifest({"name": "p", "stages": [stage]}, sources=sources)
    bench.store = small_disk / "store"
    place = ("sources", "org.osbuild.curl", "items", checksum)
    expected = Expected(
        "source", "source.failed", "cannot be written: No space left", place, "free some space"
    )
    fails(bench, expected, manifest)
    assert os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_bsize > 10 << 20
    bench.result(a_noop(bench))


def test_a_disk_that_is_full_before(bench: Bench, small_disk: Path) -> None:
    namespace: dict[str, Any] = {}
    exec(FILL, namespace)
    namespace["fill"](str(small_disk))
    bench.store = small_disk / "store"
    fails(bench, run("store.full", "No space left on device", "free some space"), a_noop(bench))


# Rights


def without(capability: str) -> tuple[str, ...]:
    """Return the command that runs another one without that capability."""
    return ("setpriv", f"--bounding-set=-{capability}", f"--inh-caps=-{capability}")


@pytest.mark.parametrize(
    ("through", "expected"),
    [
        *(
            (without(name), run("sandbox.capability", f"without CAP_{name.upper()}", "give the container"))
            for name in ("net_admin", "mknod", "sys_chroot")
        ),
        (without("sys_admin"), run("sandbox.not-root", "only root can build", "inspect, plan")),
        (("unshare", "-Urm"), run("sandbox.not-root", "root of a user namespace", "use sudo")),
    ],
    ids=["net_admin", "mknod", "sys_chroot", "sys_admin", "a user namespace"],
)
def test_rights_that_are_not_enough(bench: Bench, through: tuple[str, ...], expected: Expected) -> None:
    manifest = a_noop(bench)
    for face in FACES:
        check(face, bench, face.run(bench, manifest, through=through), expected)
    assert sorted(os.listdir(bench.directory)) == ["library", "manifest.json"]


# Exports


def failed(code: str, message: str, hint: str) -> Expected:
    return Expected("export", code, message, (), hint)


def test_a_full_disk_where_the_export_goes(bench: Bench, small_disk: Path) -> None:
    bench.add_stage("org.osbuild.big", "open(args['tree'] + '/big', 'wb').write(b'x' * (30 << 20)); return 0")
    manifest = bench.manifest({"name": "p", "stages": [{"type": "org.osbuild.big"}]})
    expected = failed("export.copy", "No space left on device", "is there space left")
    fails(bench, expected, manifest, "--output-directory", small_disk / "out")
    # What was built is there all the same.
    assert bench.ran(manifest) == []


@pytest.mark.parametrize("there", [True, False], ids=["there", "new"])
def test_an_export_to_where_we_may_not_write(bench: Bench, small_disk: Path, there: bool) -> None:
    out = small_disk / "out"
    if there:
        (out / "p").mkdir(parents=True)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    expected = run("usage.output-directory", "Read-only file system")
    if there:
        bench.add_stage("org.osbuild.big", "open(args['tree'] + '/file', 'w').close()")
        expected = failed("export.copy", "Read-only file system", "may we write there")
    stage = {"type": "org.osbuild.big"} if there else NOOP
    manifest = bench.manifest({"name": "p", "stages": [stage]})
    fails(bench, expected, manifest, "--output-directory", out)


def test_an_output_directory_that_is_a_file(bench: Bench) -> None:
    out = bench.directory / "out"
    out.write_text("here is a file")
    fails(bench, run("usage.output-directory", "cannot make the output directory"), a_noop(bench))
    assert out.read_text() == "here is a file"


def test_an_export_whose_place_is_taken_by_a_file(bench: Bench) -> None:
    taken = bench.directory / "out" / "p"
    taken.parent.mkdir()
    taken.write_text("here is a file")
    expected = failed("export.directory", "cannot make the directory", "name another one")
    fails(bench, expected, a_noop(bench))
    assert taken.read_text() == "here is a file"


def test_a_name_that_is_too_long_for_a_file(bench: Bench) -> None:
    name = "p" * 300
    manifest = bench.manifest({"name": name, "stages": [NOOP]})
    expected = failed("export.directory", "File name too long", "")
    fails(bench, expected, manifest, "--export", name)


def test_no_output_directory(bench: Bench) -> None:
    manifest = a_noop(bench)
    for face in FACES:
        words = ["build"] if face.program.name == "osbuild-core" else []
        words += ["--store", str(bench.store), "--libdir", str(bench.library), str(manifest)]
        words += ["--export", "p", *(["--json"] if face.json else [])]
        done = bench.run(*words, program=face.program)
        check(face, bench, done, run("usage.no-output-directory", "exports need", "--output-directory"))


def test_a_directory_that_has_gone(bench: Bench) -> None:
    """Started where there is nothing any more, with paths that would be below it."""
    manifest = a_noop(bench)
    gone = bench.directory / "gone"
    for face in FACES:
        gone.mkdir()
        words = [*(["build"] if face.program.name == "osbuild-core" else []), str(manifest), "--export", "p"]
        words += ["--output-directory", "out", *(["--json"] if face.json else [])]
        done = subprocess.run(
            ["sh", "-c", 'cd "$0" && rmdir "$0" && exec "$@"', gone, face.program, *words],
            capture_output=True,
            text=True,
            env={**bench.environment, "OSBUILD_CORE_STORE": "store"},
        )
        assert done.returncode == 1, done
        assert "Traceback" not in done.stderr
        if face.json:
            assert json.loads(done.stdout)["success"] is False
    assert os.listdir(bench.directory) == ["library", "manifest.json"]
