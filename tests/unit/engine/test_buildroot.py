"""What a sandbox sees of a build tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from osbuild_core.catalog.module import Module
from osbuild_core.engine.buildroot import BuildRoot, keeps
from osbuild_core.engine.sdk import SDK, directory_digest, sdk_of
from osbuild_core.model.errors import SandboxError
from osbuild_core.sandbox.spec import Bind


def module(path: Path, text: str) -> Module:
    path.write_text(text)
    path.chmod(0o755)
    return Module("runners", path.name, str(path))


@pytest.fixture
def root(tmp_path):
    tree = tmp_path / "tree"
    (tree / "usr" / "bin").mkdir(parents=True)
    runner = module(tmp_path / "org.osbuild.linux", "#!/usr/bin/python3\n# osbuild-core: effect-kept\n")
    return BuildRoot(
        tree, False, tmp_path, tmp_path / "lib", tmp_path / "cmdline", runner, -1, "the pipeline 'b'"
    )


def spec(root):
    frame = root.frame
    places = {name: frame / name for name in ("api", "dev", "etc", "var")}
    return root.spec(("true",), **places, capabilities=frozenset())


def test_parts_of_etc_and_boot_are_shown_where_the_tree_has_them(root):
    tree = root.root
    assert spec(root).boot is None
    assert [bind.target for bind in spec(root).binds] == ["/run/osbuild/api", "/run/osbuild/lib"]
    (tree / "etc" / "containers").mkdir(parents=True)
    (tree / "etc" / "mke2fs.conf").write_text("")
    (tree / "etc" / "passwd").write_text("")
    for name in ("boot", "ostree"):
        (tree / name).mkdir()
    found = spec(root)
    assert found.boot == str(tree / "boot")
    assert found.usr == str(tree / "usr")
    assert found.binds[:3] == (
        Bind(str(tree / "etc" / "mke2fs.conf"), "/etc/mke2fs.conf"),
        Bind(str(tree / "etc" / "containers"), "/etc/containers"),
        Bind(str(tree / "ostree"), "/ostree"),
    )


@pytest.mark.parametrize(
    ("shebang", "there"),
    [
        ("#!/usr/bin/python3", True),
        ("#!/bin/python3 -E", True),
        ("#! /usr/bin/absolute", True),
        ("#!/usr/bin/out", False),
        ("#!/usr/bin/perl", False),
        ("#!/opt/python3", False),
    ],
)
def test_interpreters_are_looked_for_in_the_tree_as_the_sandbox_sees_it(root, tmp_path, shebang, there):
    programs = root.root / "usr" / "bin"
    (programs / "python3.11").write_text("")
    (programs / "python3").symlink_to("python3.11")
    (programs / "absolute").symlink_to("/usr/bin/python3.11")
    # There on the host, not in the tree.
    (programs / "out").symlink_to(tmp_path / "org.osbuild.linux")
    stage = module(tmp_path / "stage", shebang + "\n")
    if there:
        root.check_interpreter(stage)
        return
    with pytest.raises(SandboxError) as caught:
        root.check_interpreter(stage)
    assert caught.value.code == "sandbox.no-interpreter"
    assert caught.value.detail.startswith("the pipeline 'b' has no /")


def test_a_stage_runs_by_itself_or_through_a_runner_that_cannot_be_kept(root, tmp_path):
    assert keeps(root.runner)
    assert root.command("org.osbuild.x") == (("/run/osbuild/bin/org.osbuild.x",), ())
    module(tmp_path / "org.osbuild.linux", "#!/bin/sh\n")
    argv, binds = root.command("org.osbuild.x")
    assert argv == ("/run/osbuild/runner/org.osbuild.linux", "/run/osbuild/bin/org.osbuild.x")
    assert binds == (Bind(str(tmp_path / "org.osbuild.linux"), argv[0]),)


def test_a_library_may_bring_its_own_sdk(tmp_path):
    assert sdk_of(tmp_path) == SDK
    (tmp_path / "osbuild").mkdir()
    assert sdk_of(tmp_path) == SDK
    (tmp_path / "osbuild" / "api.py").write_text("")
    assert sdk_of(tmp_path) == tmp_path
    before = directory_digest(tmp_path / "osbuild")
    (tmp_path / "osbuild" / "api.py").rename(tmp_path / "osbuild" / "other.py")
    assert directory_digest(tmp_path / "osbuild") != before
