from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .harness import apply, mode_of, refuse

pytestmark = pytest.mark.skipif(
    not Path("/usr/lib/grub/i386-pc").is_dir(), reason="grub-pc-bin is not installed"
)

ROOT = "6e4ff95f-f662-45ee-a82a-bdf44a2d0b75"
BOOT = "0b4a7d4c-5b3f-4e5e-9d43-3c1a6f0d8e21"


@pytest.fixture
def kernels(tree: Path) -> Path:
    (tree / "boot").mkdir()
    for version in ("6.1.0-9-amd64", "6.1.0-56-amd64"):
        (tree / f"boot/vmlinuz-{version}").touch()
    (tree / "boot/initrd.img-6.1.0-56-amd64").touch()
    return tree


def configuration(tree: Path) -> list[str]:
    """Return the lines of grub.cfg, after GRUB's own check of its syntax."""
    path = tree / "boot/grub/grub.cfg"
    subprocess.run(["grub-script-check", str(path)], check=True)
    return [line.strip() for line in path.read_text().splitlines()]


def setting(tree: Path, name: str) -> str:
    """Return a setting of /etc/default/grub as a shell reads it."""
    command = ["sh", "-c", f'. "$1"; printf %s "${name}"', "sh", str(tree / "etc/default/grub")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_an_entry_for_each_kernel_newest_first(kernels: Path) -> None:
    apply(
        "grub2.debian",
        kernels,
        {"root_fs_uuid": ROOT, "kernel_opts": "console=ttyS0", "config": {"timeout": 3}},
    )
    lines = configuration(kernels)
    assert f"search --no-floppy --fs-uuid --set=root {ROOT}" in lines
    assert [line.split()[1] for line in lines if line.startswith("linux ")] == [
        *["/boot/vmlinuz-6.1.0-56-amd64"] * 2,
        *["/boot/vmlinuz-6.1.0-9-amd64"] * 2,
    ]
    assert f"linux /boot/vmlinuz-6.1.0-56-amd64 root=UUID={ROOT} ro console=ttyS0" in lines
    assert f"linux /boot/vmlinuz-6.1.0-9-amd64 root=UUID={ROOT} ro console=ttyS0 single" in lines
    # Only one of them has a RAM disk.
    assert [line for line in lines if line.startswith("initrd")] == [
        "initrd /boot/initrd.img-6.1.0-56-amd64"
    ] * 2
    assert "set timeout=3" in lines
    assert setting(kernels, "GRUB_CMDLINE_LINUX") == "console=ttyS0"
    assert setting(kernels, "GRUB_TIMEOUT") == "3"
    assert mode_of(kernels / "boot/grub/grub.cfg") == 0o600


def test_a_boot_partition(kernels: Path) -> None:
    config = {"disable_recovery": True}
    apply("grub2.debian", kernels, {"root_fs_uuid": ROOT, "boot_fs_uuid": BOOT, "config": config})
    lines = configuration(kernels)
    assert f"search --no-floppy --fs-uuid --set=root {BOOT}" in lines
    assert [line for line in lines if line.startswith("linux ")] == [
        f"linux /vmlinuz-6.1.0-56-amd64 root=UUID={ROOT} ro",
        f"linux /vmlinuz-6.1.0-9-amd64 root=UUID={ROOT} ro",
    ]
    assert setting(kernels, "GRUB_DISABLE_RECOVERY") == "true"


def test_serial_console(kernels: Path) -> None:
    config = {"serial": "serial --unit=0 --speed=115200", "terminal": ["serial", "console"]}
    apply("grub2.debian", kernels, {"root_fs_uuid": ROOT, "config": config})
    lines = configuration(kernels)
    assert lines.index("serial --unit=0 --speed=115200") < lines.index("terminal_output serial console")
    assert setting(kernels, "GRUB_TERMINAL_INPUT") == "serial console"
    assert setting(kernels, "GRUB_SERIAL_COMMAND") == config["serial"]


def test_titles_are_quoted(kernels: Path) -> None:
    apply("grub2.debian", kernels, {"root_fs_uuid": ROOT, "config": {"distributor": "Bob's $HOME"}})
    assert any("Bob" in line and "$HOME" in line for line in configuration(kernels))
    assert setting(kernels, "GRUB_DISTRIBUTOR") == "Bob's $HOME"


def test_modules_are_there(kernels: Path) -> None:
    apply("grub2.debian", kernels, {"root_fs_uuid": ROOT})
    for name in ("normal.mod", "linux.mod", "ext2.mod", "moddep.lst", "command.lst"):
        assert (kernels / "boot/grub/i386-pc" / name).is_file()


def test_without_a_kernel(tree: Path) -> None:
    (tree / "boot").mkdir()
    assert "no kernel in /boot" in refuse("grub2.debian", tree, {"root_fs_uuid": ROOT})
