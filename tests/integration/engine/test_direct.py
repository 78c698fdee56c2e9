"""What a stage sees of where its files are written to, and that none waits for the disk."""

from __future__ import annotations

import json

import pytest

from osbuild_core.sandbox.seccomp import free_sync

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(free_sync() is None, reason="no filter of system calls is known for this machine"),
]

LOOK = """
import json, subprocess
kind = subprocess.check_output(['stat', '-f', '-c', '%T', args['tree']], text=True).strip()
reading, writing = os.pipe()
try:
    os.fsync(writing)
    synced = True
except OSError:
    synced = False
with open(args['tree'] + '/seen', 'a') as file:
    file.write(json.dumps([kind == 'overlayfs', synced]) + '\\n')
"""
"""Writes whether the tree is an overlay, and whether fsync(2) is free: of a pipe it fails otherwise."""


@pytest.fixture
def look(bench):
    """A stage like most of ours, which cannot make files immutable."""
    bench.add_stage("org.osbuild.look", LOOK)
    forgo(bench, "org.osbuild.look")
    return {"type": "org.osbuild.look"}


def forgo(bench, stage):
    """Have a stage do without what makes files immutable."""
    path = bench.library / "stages" / f"{stage}.meta.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "withheld": ["CAP_LINUX_IMMUTABLE"]}))


def seen(bench, stages, *arguments):
    """Build a pipeline of ``stages``; return what each of them saw."""
    out = bench.directory / "out"
    manifest = bench.manifest({"name": "p", "stages": stages})
    done = bench.build(manifest, "--export", "p", "-o", out, *arguments)
    assert done.returncode == 0, done.stderr
    assert bench.leftovers() == []
    return [tuple(json.loads(line)) for line in (out / "p/seen").read_text().splitlines()]


def test_the_first_stage_writes_files_to_where_they_stay(bench, look):
    assert seen(bench, [look, look]) == [(False, True), (True, True)]


def test_none_waits_for_the_disk_in_a_store_of_copies_either(bench, look):
    assert seen(bench, [look, look], "--store-backend", "copy") == [(False, True), (False, True)]


def test_one_that_can_make_files_immutable_does_not(bench, look):
    bench.add_stage("org.osbuild.able", LOOK)
    assert seen(bench, [{"type": "org.osbuild.able"}, look]) == [(True, True), (True, True)]


def test_one_with_a_mount_does_not_and_reaches_the_disk(bench, look):
    bench.add_service("mounts/org.osbuild.nothing", "return ''")
    mounts = [{"name": "m", "type": "org.osbuild.nothing"}]
    assert seen(bench, [{**look, "mounts": mounts}, look]) == [(True, False), (True, True)]


def test_layers_in_the_first_tree_come_through(bench, look):
    """Those of containers, of a stage that nobody told us of."""
    bench.add_stage(
        "org.osbuild.layers",
        "import stat, subprocess\n"
        "def layer(name):\n"
        "    path = os.path.join(args['tree'], 'storage', name)\n"
        "    os.makedirs(path + '/etc')\n"
        "    open(path + '/etc/' + name, 'w').close()\n"
        "    return path\n"
        "one, two = layer('one'), layer('two')\n"
        "os.mknod(two + '/etc/gone', stat.S_IFCHR, 0)\n"
        "os.setxattr(two + '/etc', 'trusted.overlay.opaque', b'y')\n",
    )
    forgo(bench, "org.osbuild.layers")
    bench.add_stage(
        "org.osbuild.check",
        "import stat\n"
        "etc = args['tree'] + '/storage/two/etc'\n"
        "assert os.getxattr(etc, 'trusted.overlay.opaque') == b'y'\n"
        "assert stat.S_ISCHR(os.lstat(etc + '/gone').st_mode)\n",
    )
    check = {"type": "org.osbuild.check"}
    assert seen(bench, [{"type": "org.osbuild.layers"}, check, look, check]) == [(False, True)]
