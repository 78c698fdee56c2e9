from __future__ import annotations

from pathlib import Path

import pytest

from osbuild_core.catalog import Library, default_library, host_runner_names, schema_file
from osbuild_core.model.errors import ModuleError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for kind in ("stages", "runners"):
        (tmp_path / kind).mkdir()
    return tmp_path


def add(root: Path, kind: str, *names: str) -> None:
    for name in names:
        (root / kind / name).write_text("#!/bin/sh\n")
        (root / kind / name).chmod(0o755)
        (root / kind / f"{name}.meta.json").write_text('{"summary": "x"}')


def test_finding(root):
    add(root, "stages", "org.osbuild.b", "com.example.a")
    (root / "stages" / "README.md").write_text("")
    (root / "stages" / "__pycache__").mkdir()
    (root / "stages" / ".hidden").write_text("")
    (root / "stages" / ".hidden").chmod(0o755)
    library = Library(root)
    assert [m.name for m in library.modules("stages")] == ["com.example.a", "org.osbuild.b"]
    module = library.module("stages", "org.osbuild.b")
    assert module is library.module("stages", "org.osbuild.b")
    assert (module.kind, module.path) == ("stages", root / "stages" / "org.osbuild.b")
    assert library.module("stages", "org.osbuild.c") is None
    assert library.modules("devices") == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../stages/org.osbuild.b", "org.osbuild.b.meta.json", "a/b", "a\0", "__pycache__"]
)
def test_names_that_are_none(root, name):
    add(root, "stages", "org.osbuild.b")
    (root / "stages" / "__pycache__").mkdir()
    assert Library(root).module("stages", name) is None


def test_no_directory(tmp_path):
    with pytest.raises(ModuleError) as caught:
        Library(tmp_path / "none")
    assert caught.value.code == "module.no-library"
    assert caught.value.hint


@pytest.mark.parametrize(("damage", "code"), [("gone", "no-executable"), ("mode", "not-executable")])
def test_a_module_that_cannot_be_run(root, damage, code):
    add(root, "stages", "org.osbuild.b")
    path = root / "stages" / "org.osbuild.b"
    if damage == "gone":
        path.unlink()
    else:
        path.chmod(0o644)
    with pytest.raises(ModuleError) as caught:
        Library(root).module("stages", "org.osbuild.b")
    assert caught.value.code == f"module.{code}"
    assert caught.value.hint


def test_suggestion(root):
    add(root, "stages", "org.osbuild.hostname", "org.osbuild.locale")
    library = Library(root)
    assert library.suggestion("stages", "org.osbuild.hostnmae") == "did you mean 'org.osbuild.hostname'?"
    assert library.suggestion("stages", "hostname") == "did you mean 'org.osbuild.hostname'?"
    assert "--libdir" in library.suggestion("stages", "com.example.xyz")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("org.osbuild.fedora30", "org.osbuild.fedora30"),
        ("org.osbuild.fedora37", "org.osbuild.fedora30"),
        ("org.osbuild.fedora100", "org.osbuild.fedora38"),
        ("org.osbuild.fedora29", None),
        ("org.osbuild.fedora", None),
        ("org.osbuild.debian12", "org.osbuild.debian"),
        ("org.osbuild.debian", "org.osbuild.debian"),
        ("org.osbuild.arch", None),
        ("org.osbuild.fedora030", "org.osbuild.fedora30"),
        ("org.osbuild.fedora" + "9" * 5000, "org.osbuild.fedora38"),
        ("org.osbuild.rhel810", "org.osbuild.rhel82"),
        ("org.osbuild.rhel8", None),
        ("com.example.fedora38", None),
        ("org.osbuild.", None),
        ("", None),
        ("38", None),
        ("../runners/org.osbuild.debian", None),
    ],
)
def test_runners(root, wanted, found):
    add(root, "runners", "org.osbuild.fedora30", "org.osbuild.fedora38", "org.osbuild.debian")
    add(root, "runners", "org.osbuild.rhel81", "org.osbuild.rhel82")
    module = Library(root).runner(wanted)
    assert (module.name if module else None) == found


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        (
            "fedora29",
            "the runners of that distribution are newer: org.osbuild.fedora30, org.osbuild.fedora38",
        ),
        ("fedora", "the runners of that distribution are newer: org.osbuild.fedora30, org.osbuild.fedora38"),
        ("fedroa38", "did you mean org.osbuild.fedora30 or org.osbuild.fedora38?"),
        ("debain12", "did you mean org.osbuild.debian?"),
        ("gentoo", "there are org.osbuild.debian, org.osbuild.fedora30, org.osbuild.fedora38"),
    ],
)
def test_runners_that_are_near(root, wanted, hint):
    add(root, "runners", "org.osbuild.fedora30", "org.osbuild.fedora38", "org.osbuild.debian")
    library = Library(root)
    assert library.runner(f"org.osbuild.{wanted}") is None
    assert library.runner_hint(f"org.osbuild.{wanted}") == hint


def test_no_runner_is_near_where_there_is_none(root):
    assert Library(root).runner_hint("org.osbuild.linux") == "there are none in the library"


@pytest.mark.parametrize(
    ("os_release", "found"),
    [
        ({"ID": "debian", "VERSION_ID": "12"}, "org.osbuild.debian"),
        ({"ID": "ubuntu", "VERSION_ID": "24.04", "ID_LIKE": "debian"}, "org.osbuild.debian"),
        ({"ID": "rocky", "VERSION_ID": "9.4", "ID_LIKE": "rhel centos fedora"}, "org.osbuild.rhel82"),
        ({"ID": "void"}, "org.osbuild.linux"),
        ({}, "org.osbuild.linux"),
    ],
)
def test_the_runner_for_a_host(root, os_release, found):
    add(root, "runners", "org.osbuild.debian", "org.osbuild.rhel82", "org.osbuild.linux")
    assert Library(root).host_runner(os_release).name == found


def test_a_host_without_any_runner(root):
    assert Library(root).host_runner({"ID": "debian"}) is None


def test_names_for_a_host_come_best_first():
    names = host_runner_names({"ID": "ubuntu", "VERSION_ID": "18.04", "ID_LIKE": "debian"})
    assert names == ["org.osbuild.ubuntu1804", "org.osbuild.debian1804", "org.osbuild.linux"]


def test_the_program_finds_its_own_modules_and_schemas():
    library = Library(default_library())
    assert library.module("stages", "org.osbuild.noop")
    assert Path(schema_file("osbuild2.json")).is_file()
