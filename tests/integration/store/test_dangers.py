"""What goes wrong around a store: processes left behind, full disks, missing rights, odd places."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from osbuild_core.model.errors import Cancelled, StoreError
from osbuild_core.store import overlay
from osbuild_core.store.lease import Lease
from osbuild_core.store.mountapi import bind
from osbuild_core.store.namespace import mounts_below
from osbuild_core.store.store import MAX_DEPTH, Store
from osbuild_core.store.work import Work
from tests.integration.store.conftest import file_system, in_namespace
from tests.integration.store.test_store import content, make

pytestmark = pytest.mark.root

REPOSITORY = Path(__file__).resolve().parents[3]


# Something still uses the tree


def test_an_open_file_makes_commit_fail_and_nothing_is_lost(any_store: Store) -> None:
    with any_store.begin("a", None) as work:
        (work.tree / "file").write_text("1")
        with open(work.tree / "file", "a") as file:
            with pytest.raises(StoreError) as caught:
                work.commit({})
            assert caught.value.code == "store.busy"
            assert caught.value.retryable
            assert not any_store.has("a")
            file.write("2")
        work.commit({})
    assert content(any_store, "a") == {"file": "12"}


def test_commit_waits_a_moment(any_store: Store) -> None:
    with any_store.begin("a", None) as work:
        fd = os.open(work.tree / "file", os.O_WRONLY | os.O_CREAT)
        threading.Timer(0.2, os.close, [fd]).start()
        work.commit({})
    assert any_store.has("a")


def test_busy_and_given_up(any_store: Store) -> None:
    with any_store.begin("a", None) as work, open(work.tree / "file", "w"):
        with pytest.raises(StoreError):
            work.commit({})
        work.abort()
        assert mounts_below(any_store.path) == []
    Store.open(any_store.path).close()
    assert os.listdir(any_store.tmp) == ["empty-layer"]
    assert not any_store.has("a")


@pytest.fixture
def left_behind() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that a test started; they are ended with it."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def _in_its_own_namespace(work: Work) -> subprocess.Popen[str]:
    """Start a process in a namespace of its own that has a file of the tree open."""
    script = f"exec 3>>{work.tree}/file; echo ready; exec sleep 60"
    command = ["unshare", "-m", "sh", "-c", script]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_writer_in_another_namespace_is_noticed(
    store: Store, left_behind: list[subprocess.Popen[str]]
) -> None:
    # Our own mount is not busy then, yet the writer's copy of it would write into the committed layer.
    with store.begin("a", None) as work:
        left_behind.append(_in_its_own_namespace(work))
        with pytest.raises(StoreError) as caught:
            work.commit({})
        assert caught.value.code == "store.busy"
        left_behind[0].send_signal(signal.SIGKILL)
        left_behind[0].wait()
        work.commit({})
    assert store.has("a")


def test_a_sandbox_of_another_pipeline_does_not_hold_ours(
    store: Store, left_behind: list[subprocess.Popen[str]]
) -> None:
    def other_pipeline() -> None:
        with store.begin("other", None) as other:
            left_behind.append(_in_its_own_namespace(other))
            other.abort()

    in_namespace(other_pipeline)
    make(store, "a", file="1")
    with store.acquire("a") as lease, lease.mount(), store.begin("b", None) as work:
        work.commit({})
    assert store.has("b")


# Cancelled


@pytest.mark.parametrize("how", ["copied", "plain", "flattened"])
def test_a_copy_that_is_cancelled(place: Path, how: str) -> None:
    with Store.open(place / "store", backend="copy" if how == "copied" else "overlay") as store:
        with store.begin("a", None) as work:
            for number in range(1_500):
                (work.tree / f"{number}").touch()
            work.commit({})
        last = "a"
        for number in range(MAX_DEPTH - 1 if how == "flattened" else 0):
            last = make(store, f"{number}", last, file="x").key
        with pytest.raises(Cancelled):
            store.begin("b", store.acquire(last), plain=how == "plain", cancelled=lambda: True)
        assert os.listdir(store.tmp) == ["empty-layer"]
        assert mounts_below(place) == []
        with store.begin("b", store.acquire(last), plain=how == "plain") as work:
            assert len(os.listdir(work.tree)) >= 1_500
            work.commit({})


# Taking over


def _taking(store: Store, base: str | Lease, key: str = "b") -> Work:
    lease = store.acquire(base) if isinstance(base, str) else base
    return store.begin(key, lease, take_over=True)


def test_taking_over_ends_the_base(any_store: Store) -> None:
    make(any_store, "root", deep="0")
    make(any_store, "a", "root", file="1")
    with _taking(any_store, "a") as work:
        assert not any_store.has("a")
        with open(work.tree / "file", "a") as file:
            file.write("2")
        (work.tree / "deep").unlink()
        info = work.commit({})
    assert info.depth == (2 if any_store.backend == "overlay" else 1)
    assert content(any_store, "b") == {"file": "12"}
    assert content(any_store, "root") == {"deep": "0"}
    # And once more, and stacked on.
    with _taking(any_store, "b", "c") as work:
        (work.tree / "third").write_text("3")
        work.commit({})
    make(any_store, "d", "c", fourth="4")
    assert content(any_store, "d") == {"file": "12", "third": "3", "fourth": "4"}
    assert {info.key for info in any_store.objects()} == {"root", "c", "d"}


def test_taken_over_and_aborted(any_store: Store) -> None:
    make(any_store, "a", file="1")
    with _taking(any_store, "a") as work:
        (work.tree / "file").unlink()
    assert not any_store.has("a")
    assert os.listdir(any_store.tmp) == ["empty-layer"]
    make(any_store, "a", file="1")
    assert content(any_store, "a") == {"file": "1"}


@pytest.mark.parametrize("reason", ["reader", "pinned", "child", "synced", "other process", "gone on"])
def test_not_taken_over(store: Store, reason: str) -> None:
    make(store, "a", file="1")
    reader = store.acquire("a") if reason == "reader" else None
    asking = store
    if reason == "pinned":
        store.pin("a")
    elif reason == "child":
        make(store, "child", "a")
    elif reason == "synced":
        store.sync()
    elif reason == "other process":
        asking = Store.open(store.path)
    elif reason == "gone on":
        store.begin("aborted", store.acquire("a")).abort()
    with _taking(asking, "a") as work:
        (work.tree / "file").write_text("2")
        assert work.commit({}).parent == "a"
    assert content(store, "a") == {"file": "1"}
    assert content(store, "b") == {"file": "2"}
    if reader is not None:
        reader.close()


def test_a_tree_with_flags_is_not_taken_over(store: Store) -> None:
    with store.begin("a", None) as work:
        (work.tree / "fixed").write_text("1")
        subprocess.run(["chattr", "+i", work.tree / "fixed"], check=True)
        work.commit({})
    with _taking(store, "a") as work:
        assert work.commit({}).parent == "a"


def test_taking_over_a_copy(store: Store) -> None:
    make(store, "below", file="1")
    with store.begin("a", store.acquire("below"), plain=True) as work:
        work.commit({})
    with _taking(store, "a") as work:
        (work.tree / "more").write_text("2")
        info = work.commit({})
    assert (info.backend, info.plain) == ("copy", True)
    assert not store.has("a")
    assert content(store, "b") == {"file": "1", "more": "2"}


def test_taking_over_a_flattened_base(store: Store) -> None:
    lease = None
    for index in range(52):
        with store.begin(f"k{index}", lease) as work:
            (work.tree / f"file{index}").write_text("1")
            work.commit({})
        lease = store.acquire(f"k{index}")
    with _taking(store, lease) as work:
        info = work.commit({})
    assert info.depth == 3
    assert len(content(store, "b")) == 52


def test_killed_after_taking_over(any_store: Store) -> None:
    make(any_store, "root", deep="0")
    pid = os.fork()
    if pid == 0:
        # Its own store: only what a process committed itself may it take over.
        mine = Store.open(any_store.path, backend=any_store.backend)
        make(mine, "a", "root", file="1")
        with _taking(mine, "a") as work:
            (work.tree / "file").write_text("changed")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    with Store.open(any_store.path) as later:
        assert not later.has("a")
        assert not later.has("b")
        assert content(later, "root") == {"deep": "0"}
        assert os.listdir(later.tmp) == ["empty-layer"]


# The layers themselves


def test_inode_numbers_are_stable(store: Store) -> None:
    make(store, "a", file="1", other="2")

    def numbers(key: str) -> dict[str, int]:
        with store.acquire(key) as lease, lease.mount() as tree:
            return {name: os.stat(tree / name).st_ino for name in ("file", "other")}

    first = numbers("a")
    with store.begin("b", store.acquire("a")) as work:
        (work.tree / "file").chmod(0o600)
        during = {name: os.stat(work.tree / name).st_ino for name in ("file", "other")}
        work.commit({})
    assert first == during == numbers("a")
    assert numbers("b") == numbers("b")


def test_a_whiteout_cannot_be_made_by_a_stage(store: Store) -> None:
    with store.begin("a", None) as work, pytest.raises(PermissionError):
        os.mknod(work.tree / "node", 0o020000, 0)


def test_a_chown_copies_no_data(store: Store) -> None:
    make(store, "a", file="x" * (1 << 20))
    with store.begin("b", store.acquire("a")) as work:
        os.chown(work.tree / "file", 5, 5)
        info = work.commit({})
    assert info.size() < 1 << 16
    assert content(store, "b") == {"file": "x" * (1 << 20)}


def test_missing_options_are_noticed(place: Path) -> None:
    paths = [place / "probe" / name for name in ("tree", "upper", "work", "empty")]
    for path in paths:
        path.mkdir(parents=True)
    overlay.mount_writable(*paths[:3], [], paths[3])
    with pytest.raises(StoreError) as caught:
        overlay._require(paths[0], overlay.REQUIRED | {"nfs_export=on"})
    assert caught.value.code == "store.overlay"
    assert mounts_below(place) == []


def test_the_mount_call_of_older_kernels(place: Path) -> None:
    layers = [place / "layers" / f"{index}" / "layer" for index in range(60)]
    for index, layer in enumerate(layers):
        layer.mkdir(parents=True)
        (layer / f"file{index}").write_text("1")
    empty, tree = place / "x/empty", place / "x/tree"
    for path in (empty, tree):
        path.mkdir(parents=True)
    options = [("redirect_dir", "on"), ("metacopy", "on")]
    with overlay._Spelling() as spelling:
        overlay._mount_by_string(tree, options, [*map(spelling, layers), spelling(empty)], read_only=True)
    assert len(os.listdir(tree)) == 60
    assert overlay.unmount(tree)
    assert os.listdir(place / "x") == ["empty", "tree"] or sorted(os.listdir(place / "x")) == [
        "empty",
        "tree",
    ]


@pytest.mark.parametrize(
    "name", ["a, b:c", "back\\slash", "new\nline", "ü" * 100, "/".join(["long" * 30] * 4)]
)
def test_any_path_will_do(place: Path, name: str) -> None:
    with Store.open(place / name) as store:
        assert store.backend == "overlay"
        make(store, "a", file="1")
        make(store, "b", "a", more="2")
        assert content(store, "b") == {"file": "1", "more": "2"}
        assert mounts_below(store.path) == []


# What the store's place cannot do


@pytest.fixture
def small(place: Path) -> Iterator[Path]:
    with file_system(place, 16) as directory:
        yield directory


@pytest.mark.parametrize("backend", ["overlay", "copy"])
def test_a_full_disk(small: Path, backend: str) -> None:
    with Store.open(small / "store", backend=backend) as store:
        make(store, "a", file="1" * 4_000_000)
        with store.begin("b", store.acquire("a")) as work:
            with pytest.raises(OSError, match="No space left"), open(work.tree / "big", "wb") as file:
                while True:
                    file.write(b"x" * 65536)
            while True:
                try:
                    (work.directory / os.urandom(8).hex()).write_text("x" * 4096)
                except OSError:
                    break
            with pytest.raises(StoreError) as caught:
                work.commit({"long": "x" * 100_000})
            assert caught.value.code == "store.full"
        assert os.listdir(store.tmp) == ["empty-layer"]
        assert not store.has("b")
        make(store, "c", "a", more="2")
        assert set(content(store, "c")) == {"file", "more"}
        store.evict(0)


def test_no_room_for_a_copy(small: Path) -> None:
    with Store.open(small / "store", backend="copy") as store:
        make(store, "a", file="1" * 8_000_000)
        with pytest.raises(StoreError) as caught:
            store.begin("b", store.acquire("a"))
        assert caught.value.code == "store.full"
        assert os.listdir(store.tmp) == ["empty-layer"]
        assert len(content(store, "a")["file"]) == 8_000_000


def test_a_read_only_place(place: Path) -> None:
    Store.open(place / "store").close()
    (place / "fixed").mkdir()
    bind(place, place / "fixed", read_only=True)
    for name in ("store", "new"):
        with pytest.raises(StoreError) as caught:
            Store.open(place / "fixed" / name)
        assert caught.value.code == "store.read-only"


def test_on_a_file_system_without_what_overlay_needs(place: Path) -> None:
    # Upper directories of an overlay cannot lie on an overlay.
    for name in ("lower", "upper", "work", "merged"):
        (place / name).mkdir()
    options = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, place / "merged"], check=True)
    try:
        with Store.open(place / "merged/store") as store:
            assert store.backend == "copy"
            make(store, "a", file="1")
            make(store, "b", "a", more="2")
            assert content(store, "b") == {"file": "1", "more": "2"}
        with Store.open(place / "merged/store", backend="overlay") as store:
            with pytest.raises(StoreError) as caught:
                make(store, "c")
            assert caught.value.code == "store.backend"
    finally:
        subprocess.run(["umount", place / "merged"], check=True)


SCRIPT = """
import sys
from pathlib import Path
from osbuild_core.store.store import Store
with Store.open(Path(sys.argv[1])) as store:
    print(store.backend)
    with store.begin("a", None) as work:
        (work.tree / "dir").mkdir(mode=0o500)
        (work.tree / "file").write_text("1")
        work.commit({})
    with store.begin("b", store.acquire("a")) as work:
        (work.tree / "more").write_text("2")
        work.commit({}, source_epoch=5)
    with store.acquire("b") as lease, lease.mount() as tree:
        print(sorted(p.name for p in tree.iterdir()))
    store.sync()
    print(store.evict(0) > 0, list(store.objects()))
"""


@pytest.mark.parametrize(
    "command",
    [
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"],
        ["setpriv", "--bounding-set", "-sys_admin"],
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "unshare", "-Ur"],
    ],
    ids=["not root", "root that may not mount", "root of a user namespace"],
)
def test_with_fewer_rights(command: list[str]) -> None:
    # Not below pytest's directory, nor in the checkout: both may be closed to others.
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        library = Path(directory, "library/osbuild_core")
        for name in ("store", "model"):
            shutil.copytree(REPOSITORY / "osbuild_core" / name, library / name)
        place = Path(directory, "store")
        place.mkdir()
        os.chown(place, 65534, 65534)
        environment = {**os.environ, "PYTHONPATH": str(library.parent)}
        done = subprocess.run(
            [*command, sys.executable, "-c", SCRIPT, place],
            capture_output=True,
            text=True,
            cwd="/",
            env=environment,
        )
        assert done.stderr == ""
        assert done.stdout.splitlines() == ["copy", "['dir', 'file', 'more']", "True []"]
