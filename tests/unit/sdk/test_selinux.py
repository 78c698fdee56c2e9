"""SELinux, with a program that stands in for setfiles; labels are attributes, which need no SELinux."""

import io
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from standin import StandIns

CONFIG = """
# SELINUX=disabled
 SELINUX = permissive
SELINUXTYPE=targeted

"""


@pytest.fixture
def selinux(sdk: Callable[[str], Any]) -> Any:
    return sdk("util.selinux")


def test_the_configuration(selinux: Any) -> None:
    config = selinux.parse_config(io.StringIO(CONFIG))
    assert config == {"SELINUX": "permissive", "SELINUXTYPE": "targeted"}
    assert selinux.config_get_policy(config) == "targeted"
    assert selinux.config_get_policy({**config, "SELINUX": "enforcing"}) == "targeted"
    assert selinux.config_get_policy({**config, "SELINUX": "disabled"}) is None
    assert selinux.config_get_policy({}) is None


def test_files_are_labelled_by_the_program(programs: StandIns, selinux: Any) -> None:
    programs.add("setfiles", "sys.exit('/bad' in args[-1])")
    selinux.setfiles("/tree/etc/contexts", "/tree", "", "/boot", exclude_paths=["/tree/sysroot", "/tree/x"])
    exclude = ["-e", "/tree/sysroot", "-e", "/tree/x"]
    assert [args for _, args, _ in programs.calls()] == [
        ["-F", "-r", "/tree", *exclude, "/tree/etc/contexts", "/tree"],
        ["-F", "-r", "/tree", *exclude, "/tree/etc/contexts", "/tree/boot"],
    ]
    with pytest.raises(subprocess.CalledProcessError):
        selinux.setfiles("/c", "/tree", "/bad")
    with pytest.raises(ValueError, match="setfiles_from"):
        selinux.setfiles("/c", "/tree", "/", setfiles_from="elsewhere")


@pytest.mark.root
def test_the_program_may_be_that_of_the_tree(tmp_path: Path, sdk: Callable[[str], Any], selinux: Any) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    with pytest.raises(RuntimeError, match="no setfiles"):
        selinux.setfiles(f"{tree}/contexts", str(tree), "/", setfiles_from="tree")
    (tree / "usr/sbin").mkdir(parents=True)
    # A program that needs nothing else in the tree.
    (tree / "setfiles.c").write_text(
        '#include <stdio.h>\nint main(int c, char **v) { FILE *f = fopen("/said", "a");'
        ' for (int i = 1; i < c; i++) fprintf(f, "%s ", v[i]); fputs("\\n", f); return fclose(f); }\n'
    )
    command = ["gcc", "-static", "-o", f"{tree}/usr/sbin/setfiles", f"{tree}/setfiles.c"]
    subprocess.run(command, check=True)
    arguments = [f"{tree}/etc/contexts", str(tree), "/", "/boot"]
    selinux.setfiles(*arguments, exclude_paths=[f"{tree}/sysroot", "/other"], setfiles_from="tree")
    assert (tree / "said").read_text().splitlines() == [
        "-F -e /sysroot -e /other /etc/contexts / ",
        "-F -e /sysroot -e /other /etc/contexts /boot ",
    ]
    assert sorted(os.listdir(tree)) == ["said", "setfiles.c", "usr"]


@pytest.mark.root
def test_labels(tmp_path: Path, selinux: Any) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    selinux.setfilecon(str(tmp_path / "link"), "system_u:object_r:etc_t:s0")
    assert selinux.getfilecon(str(tmp_path / "file")) == "system_u:object_r:etc_t:s0"
    os.setxattr(tmp_path / "file", "security.selinux", b"system_u:object_r:usr_t:s0\0")
    assert selinux.getfilecon(str(tmp_path / "file")) == "system_u:object_r:usr_t:s0"
    with pytest.raises(OSError):
        selinux.getfilecon(str(tmp_path / "link"))
    # proc has no labels to change.
    with pytest.raises(OSError):
        selinux.setfilecon("/proc/version", "system_u:object_r:proc_t:s0")
