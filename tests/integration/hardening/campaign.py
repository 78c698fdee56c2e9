"""A build with everything in it, the phases at which it can be ended, and what has to be right afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from osbuild_core.store.store import Store
from tests.integration.engine.conftest import OSBUILD, OSBUILD_CORE, Bench, eventually
from tests.integration.store.conftest import in_namespace
from tests.integration.store.snapshot import snapshot
from tests.modules.sources.web import Web

Snapshot = dict[str, dict[str, Any]]

PAYLOAD = b"payload " * 100_000
CHECKSUM = f"sha256:{hashlib.sha256(PAYLOAD).hexdigest()}"
FILES = 800
"""Files in the tree: so many that a commit, which looks at each, and an export last a moment."""

LENGTHS = {"download": 0.2, "stage": 0.2, "mounted": 0.2, "commit": 0.004, "export": 0.04}
"""Seconds that a phase lasts at least."""

TRIES = 10
"""Rounds in which a phase has to be hit: on a busy machine one may be over before the signal arrives."""

WRITE = f"""
import subprocess
tree = args['tree']
for number in range({FILES}):
    path = f'{{tree}}/{{number % 10}}/{{number}}'
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as file: file.write(f'{{number}} ' * number)
    os.chown(path, number, number + 1)
    os.chmod(path, 0o4755 if number % 3 else 0o640)
    os.setxattr(path, 'user.number', b'%d' % number)
os.link(f'{{tree}}/0/0', f'{{tree}}/1/linked')
os.symlink('nowhere', f'{{tree}}/link')
os.mknod(f'{{tree}}/null', 0o20666, os.makedev(1, 3))
"""

CHANGE = f"""
tree = args['tree']
os.unlink(f'{{tree}}/2/2')
os.rename(f'{{tree}}/3', f'{{tree}}/moved')
for number in range(0, {FILES}, 10): os.chmod(f'{{tree}}/0/{{number}}', 0o600)
with open(f'{{tree}}/1/linked', 'a') as file: file.write('more')
"""


def reporting(name: str, body: str = "") -> str:
    """Return the code of a stage that notes when it has begun, and after a moment that it ends."""
    mark = f"/run/osbuild/mounts/mark/{name}"
    return f"open({mark!r}, 'w').close()\ntime.sleep(0.3)\n{body}\nos.rename({mark!r}, {mark + ' done'!r})"


class Campaign:
    """Builds that are ended at some moment, each on a store of its own, and compared with a reference."""

    def __init__(self, bench: Bench, web: Web, seed: int) -> None:
        self.bench = bench
        self.out = bench.directory / "out"
        self.random = random.Random(seed)
        self.hits: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self._sending = threading.Event()
        web.files["/payload"] = PAYLOAD
        web.faults["/payload"] = self._send_slowly
        self.manifest = self._prepare(web)
        self.phases: dict[str, Callable[[], bool]] = {
            "download": self._sending.is_set,
            "stage": (bench.directory / "stage").exists,
            "mounted": (bench.directory / "mounted").exists,
            "commit": self._commits,
            "export": self._exports,
        }
        self._reference: dict[str, tuple[Any, Snapshot]] = {}
        self._exported: Snapshot = {}
        self.duration = 0.0

    def _send_slowly(self, handler: BaseHTTPRequestHandler) -> bool:
        """Stop for a moment in the middle."""
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(PAYLOAD)))
        handler.end_headers()
        handler.wfile.write(PAYLOAD[: len(PAYLOAD) // 2])
        self._sending.set()
        time.sleep(0.3)
        self._sending.clear()
        handler.wfile.write(PAYLOAD[len(PAYLOAD) // 2 :])
        return True

    def _prepare(self, web: Web) -> Path:
        bench = self.bench
        bench.add_service(
            "mounts/org.osbuild.mark",
            "self.point = os.path.join(args['root'], 'mark'); os.makedirs(self.point)\n"
            f"os.system('mount --bind {bench.directory} ' + self.point)\nreturn self.point",
            "os.system('umount ' + self.point)",
        )
        bench.add_stage("org.osbuild.write", WRITE)
        bench.add_stage("org.osbuild.change", CHANGE)
        bench.add_stage("org.osbuild.rest", reporting("stage"))
        written = "open('/run/osbuild/mounts/root/file', 'w').write('text' * 9999)"
        bench.add_stage("org.osbuild.inside", reporting("mounted", written))
        mark = {"name": "mark", "type": "org.osbuild.mark"}
        disk = {"type": "org.osbuild.loopback", "options": {"filename": "disk"}}
        root = {"name": "root", "type": "org.osbuild.ext4", "source": "disk", "target": "/root"}
        uuid = "2ee5b0ae-5b6a-4c08-a5e9-4b3b0b3b4b0e"
        files = {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": [CHECKSUM]}
        paths = [{"from": f"input://f/{CHECKSUM}", "to": "tree:///payload"}]
        tree = {"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline", "references": ["name:os"]}
        return bench.manifest(
            {
                "name": "image",
                "stages": [
                    {"type": "org.osbuild.truncate", "options": {"filename": "disk", "size": "4194304"}},
                    {
                        "type": "org.osbuild.mkfs.ext4",
                        "options": {"uuid": uuid},
                        "devices": {"device": disk},
                    },
                    {"type": "org.osbuild.inside", "devices": {"disk": disk}, "mounts": [root, mark]},
                ],
            },
            {
                "name": "os",
                "source-epoch": 900_000_000,
                "stages": [
                    {"type": "org.osbuild.write"},
                    {"type": "org.osbuild.rest", "mounts": [mark]},
                    {"type": "org.osbuild.copy", "inputs": {"f": files}, "options": {"paths": paths}},
                    {"type": "org.osbuild.change"},
                ],
            },
            {
                "name": "tar",
                "source-epoch": 900_000_000,
                "stages": [
                    {"type": "org.osbuild.tar", "inputs": {"tree": tree}, "options": {"filename": "t.tar"}}
                ],
            },
            sources={"org.osbuild.curl": {"items": {CHECKSUM: {"url": f"{web.url}/payload"}}}},
        )

    @property
    def exports(self) -> list[Any]:
        names = ("os", "image", "tar")
        return [*(word for n in names for word in ("--export", n)), "--output-directory", self.out]

    def _commits(self) -> bool:
        """Tell whether a tree is being committed: unmounted, without its work directory, and no object yet."""
        for entry in self.bench.store.glob("tmp/core-work-*"):
            if (entry / "object" / "log").exists() and (entry / "object" / "layer" / "0").exists():
                return not (entry / "work").exists()
        return False

    def _exports(self) -> bool:
        """Tell whether the tree is partly there."""
        there = sum(1 for path in (self.out / "os").rglob("*") if not path.is_dir())
        return 0 < there < FILES

    # One round after the other

    def learn(self) -> None:
        """Build once undisturbed, and remember all objects and exports."""
        started = time.monotonic()
        self.bench.result(self.manifest, *self.exports, "--checkpoint", "*")
        self.duration = time.monotonic() - started
        self._reference = self._objects()
        self._exported = comparable(self.out)
        assert len(self._reference) > 8
        assert {path.split("/")[1] for path in self._exported if path != "."} == {"os", "image", "tar"}

    def hit(self, number: signal.Signals, phase: str, backend: str = "overlay") -> None:
        """Have rounds until one has ended a build in the middle of ``phase``."""
        before = self.hits[phase]
        for _ in range(TRIES):
            self.round(number, phase, backend)
            if self.hits[phase] > before:
                return
        raise AssertionError(f"{number.name} never arrived in the middle of {phase}")

    def round(self, number: signal.Signals, phase: str | None, backend: str = "overlay") -> None:
        """End a build in ``phase`` (None: anywhere), then look at everything."""
        bench = self.bench
        program = self.random.choice([OSBUILD, OSBUILD_CORE])
        what = f"{program.name}, {backend}: {number.name} in {phase or 'anywhere'}"
        if phase is None:
            process = self._start(program, backend)
            time.sleep(self.random.uniform(0.05, self.duration))
        else:
            process = self._reached(phase, program, backend, what)
            time.sleep(self.random.uniform(0, LENGTHS[phase]))
        said, hit = self._end(process, number)
        self.hits.update(hit)
        self._check_status(process.returncode, number, said, what, ended=bool(hit), early=phase is None)
        self.ended[f"{phase or 'anywhere'} {process.returncode}"] += 1
        self._check_after(number, what)
        bench.result(self.manifest, *self.exports)
        assert bench.leftovers() == [], what
        assert comparable(self.out) == self._exported, what

    def _reached(self, phase: str, program: Path, backend: str, what: str) -> subprocess.Popen[str]:
        """Return a build that is in ``phase``, which may be too short to be seen while the machine is busy."""
        for _ in range(TRIES):
            process = self._start(program, backend)
            if _soon(self.phases[phase], process):
                return process
            said = process.communicate()
            assert process.returncode == 0, f"{what}: ended before it came to it: {said}"
        raise AssertionError(f"{what}: {TRIES} builds ended, and none was seen in it")

    def _start(self, program: Path, backend: str) -> subprocess.Popen[str]:
        self._clean()
        words: list[Any] = ["--store", self.bench.store, "--libdir", self.bench.library, self.manifest]
        if program == OSBUILD_CORE:
            words = ["build", *words, "--store-backend", backend]
        process = subprocess.Popen(
            [str(word) for word in (program, *words, *self.exports)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.bench.environment,
            start_new_session=True,
        )
        self.bench.started.append(process)
        return process

    def _end(self, process: subprocess.Popen[str], number: signal.Signals) -> tuple[str, list[str]]:
        """Send the signal; return what the build said, and the phases that it was in the middle of.

        Looked at afterwards: a phase that lasts still was there when the signal came.
        """
        if process.poll() is None:
            # As a terminal does it: to all that run in it.
            if number == signal.SIGINT:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
        if number == signal.SIGKILL:
            process.wait()
        hit = [name for name, lasts in self.phases.items() if lasts()]
        said = process.communicate(timeout=90)[1]
        return said, hit

    @staticmethod
    def _check_status(
        status: int, number: signal.Signals, said: str, what: str, *, ended: bool, early: bool
    ) -> None:
        """``ended``: it was in the middle of something; ``early``: it may not have come to our first line yet,
        before which the interpreter ends in its own way."""
        own_way = early and "in main" not in said
        assert own_way or "Traceback" not in said, f"{what}:\n{said}"
        expected = {-number} if number == signal.SIGKILL else {128 + number}
        if not ended:
            expected |= {0, -number} if own_way else {0}
        assert status in expected, f"{what}: {status}\n{said}"

    def _check_after(self, number: signal.Signals, what: str) -> None:
        """Nothing is mounted, attached or running; what is in the store is as it must be."""
        bench = self.bench
        if number == signal.SIGKILL:
            # Entries of the store's directory for work go with the next start.
            assert eventually(lambda: not [line for line in bench.leftovers() if line[:5] != "core-"]), (
                what,
                bench.leftovers(),
            )
        else:
            assert bench.leftovers() == [], what
        found = self._objects() if bench.store.exists() else {}
        for key, (document, tree) in found.items():
            assert key in self._reference, f"{what}: there is no {key}: {document}"
            assert document == self._reference[key][0], what
            assert tree == self._reference[key][1], f"{what}: {document}"

    def _objects(self) -> dict[str, tuple[Any, Snapshot]]:
        """Open the store as the next process would; return all that is in it, by key."""

        def read() -> dict[str, tuple[Any, Snapshot]]:
            found = {}
            with Store.open(self.bench.store) as store:
                assert os.listdir(store.tmp) == ["empty-layer"], os.listdir(store.tmp)
                for info in store.objects():
                    lease = store.acquire(info.key)
                    assert lease is not None
                    with lease, lease.mount() as tree:
                        found[info.key] = (_timeless(info.document), comparable(tree))
                assert len(found) == len(os.listdir(store.path / "objects"))
            return found

        result: dict[str, tuple[Any, Snapshot]] = in_namespace(read)
        return result

    def _clean(self) -> None:
        directory = self.bench.directory
        names = [self.bench.store, self.out, *(directory / n for n in ("stage", "mounted"))]
        names += [directory / f"{n} done" for n in ("stage", "mounted")]
        subprocess.run(["rm", "-rf", *names], check=True)
        self._sending.clear()


def _soon(reached: Callable[[], bool], process: subprocess.Popen[str]) -> bool:
    """Wait until ``reached()``; False if the process ends before."""
    while not reached():
        if process.poll() is not None:
            return False
        time.sleep(0.001)
    return True


def _timeless(document: Any) -> Any:
    """Return what an object remembers, without how long it took."""
    text: dict[str, Any] = json.loads(json.dumps(dict(document)))
    for stage in text.get("stages", []):
        del stage["seconds"]
    return text


def comparable(tree: Path) -> Snapshot:
    """Return what is in ``tree``; of a disk image, which knows when it was made, what is in the image."""
    found = snapshot(tree)
    for path, entry in found.items():
        if path.endswith("/disk"):
            for fact in ("content", "sparse", "time"):
                entry.pop(fact, None)
            entry["image"] = _in_image(tree / path)
    return found


def _in_image(image: Path) -> list[str]:
    with image.open("rb") as file:
        file.seek(1024 + 56)
        if file.read(2) != b"\x53\xef":
            return ["no file system"]
    subprocess.run(["e2fsck", "-fn", image], check=True, capture_output=True)
    shown = []
    for request in ("ls -l /", "cat /file"):
        command = ["debugfs", "-R", request, str(image)]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        # Without the times.
        shown += [" ".join(line.split()[:6] + line.split()[8:]) for line in text.splitlines()]
    return shown
