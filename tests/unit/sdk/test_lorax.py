"""Lorax's scripts; a few lines stand in for the template engine that they are written for."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from standin import StandIns

ENGINE = """
import string

class Template:
    def __init__(self, text, filename):
        self.text = text

    def render(self, **args):
        return string.Template(self.text).substitute(args)
"""


@pytest.fixture
def lorax(sdk: Callable[[str], Any]) -> Any:
    return sdk("util.lorax")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    for name in ("usr/lib/one", "usr/lib/two", "usr/share/.hidden", "usr/share/[x]", "etc/issue"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(f"this is {name}\n")
    (tree / "lib").symlink_to("/usr/lib")
    (tree / "out").symlink_to(tmp_path)
    (tmp_path / "build/boot").mkdir(parents=True)
    (tmp_path / "build/boot/vmlinuz").write_text("kernel")
    return tree


def names(tree: Path) -> set[str]:
    return {
        path.relative_to(tree).as_posix()
        for path in tree.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }


def test_a_template_becomes_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lorax: Any) -> None:
    (tmp_path / "mako").mkdir()
    (tmp_path / "mako/__init__.py").touch()
    (tmp_path / "mako/template.py").write_text(ENGINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    # The real one may be there already.
    for name in [name for name in sys.modules if name.partition(".")[0] == "mako"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "x.tmpl").write_text(
        "# comment\n  install $root/{a,b{1,2}} '/x y'\n\n-remove /usr/{lib,share}/locale {single}\n"
    )
    assert lorax.render_template(str(tmp_path / "x.tmpl"), {"root": "/r"}) == [
        ["install", "/r/a", "/r/b1", "/r/b2", "/x y"],
        ["-remove", "/usr/lib/locale", "/usr/share/locale", "{single}"],
    ]


def run(lorax: Any, tree: Path, *commands: list[str]) -> None:
    lorax.Script(list(commands), str(tree.parent / "build"), str(tree))()


def test_files_are_changed(tree: Path, lorax: Any) -> None:
    run(
        lorax,
        tree,
        ["append", "/etc/new/motd", r"two\nlines: ü"],
        ["mkdir", "/a/b", "/c"],
        ["install", "/boot/vm*", "/c"],
        ["move", "/etc/issue", "/a"],
        ["replace", "^this (is)", r"that \1", "/a/issue"],
        ["symlink", "../c/vmlinuz", "/a/b"],
    )
    assert (tree / "etc/new/motd").read_text() == "two\nlines: ü\n"
    assert (tree / "c/vmlinuz").read_text() == "kernel"
    assert (tree / "a/issue").read_text() == "that is etc/issue\n"
    assert (tree / "a/b").readlink() == Path("../c/vmlinuz")


def test_patterns_stand_for_files_of_the_tree_only(tree: Path, lorax: Any) -> None:
    run(lorax, tree, ["remove", "/lib/t*", "/usr/share/*", "/none*", "/out/build", "/out"])
    assert names(tree) == {"usr/lib/one", "usr/share/.hidden", "etc/issue", "lib"}
    assert (tree.parent / "build/boot/vmlinuz").exists()


def test_packages_are_removed(tree: Path, programs: StandIns, lorax: Any) -> None:
    programs.add(
        "rpm",
        "files = {'libs': ['/usr/lib', '/usr/lib/one', '/lib/two'], 'docs': ['/usr/share/[x]', '/etc/issue']}\n"
        "print('\\n'.join(files if '-qa' in args else files[args[-1]]))",
    )
    run(lorax, tree, ["removefrom", "libs", "/usr/lib/o*"])
    assert names(tree) == {"usr/lib/two", "usr/share/.hidden", "usr/share/[x]", "etc/issue", "lib", "out"}
    run(lorax, tree, ["removefrom", "do*", "--allbut", "/etc/*"], ["removepkg", "lib*"])
    assert names(tree) == {"usr/share/.hidden", "etc/issue", "lib", "out"}
    assert (tree / "usr/lib").is_dir()
    assert all(args[:2] == ["--root", str(tree)] for _, args, _ in programs.calls())


def test_kernel_modules_are_removed(tree: Path, lorax: Any) -> None:
    modules = tree / "usr/lib/modules/6.1/kernel"
    for name in ("drivers/char/virtio_console.ko", "drivers/char/other.ko", "sound/core.ko", "fs/ext4.ko"):
        (modules / name).parent.mkdir(parents=True, exist_ok=True)
        (modules / name).touch()
    run(lorax, tree, ["removekmod", "sound"], ["removekmod", "drivers/char", "--allbut", "virtio_console"])
    assert sorted(path.name for path in modules.rglob("*.ko")) == ["ext4.ko", "virtio_console.ko"]
    for words in (["--allbut", "x"], ["x", "--allbut"]):
        with pytest.raises(ValueError, match="--allbut"):
            run(lorax, tree, ["removekmod", *words])


def test_programs_run_in_the_tree(tree: Path, programs: StandIns, lorax: Any) -> None:
    programs.add("systemctl", "sys.exit(1)")
    run(lorax, tree, ["runcmd", "touch", "made"], ["systemctl", "mask", "a.service", "b.service"])
    assert (tree / "made").exists()
    assert [args[-2:] for _, args, _ in programs.calls()] == [["mask", "a.service"], ["mask", "b.service"]]
    with pytest.raises(ValueError):
        run(lorax, tree, ["systemctl", "start", "a.service"])


def test_a_command_that_fails_ends_the_script_unless_told(
    tree: Path, lorax: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run(lorax, tree, ["-install", "/none", "/x"], ["-runcmd", "false"], ["mkdir", "/after"])
    assert (tree / "after").is_dir()
    with pytest.raises(OSError, match="nothing matches /none"):
        run(lorax, tree, ["install", "/none", "/x"], ["mkdir", "/never"])
    assert not (tree / "never").exists()
    assert "command 1 failed: install /none /x" in capsys.readouterr().out
    for words in (["unknown"], ["__init__"], ["-_target", "x"]):
        with pytest.raises(ValueError, match="there is no"):
            run(lorax, tree, words)
