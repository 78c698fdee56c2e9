"""manifests/debian-disk.yaml: the images start and are what the template says."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .debian import build, resolve
from .qemu import Machine

pytestmark = [pytest.mark.root, pytest.mark.slow]

# Emulated, and on a machine that may do other things at the same time.
BOOT_SECONDS = 600


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("debian-disk")


@pytest.fixture(scope="module")
def key(folder: Path) -> Path:
    path = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def output(folder: Path, key: Path) -> Path:
    public = key.with_suffix(".pub").read_text().strip()
    manifest = resolve(folder, "debian-disk", hostname="machine", user="admin", ssh_key=public)
    return build(folder, manifest, folder / "store", "image", "qcow2")


@pytest.fixture(scope="module")
def machine(folder: Path, output: Path) -> Iterator[Machine]:
    """The qcow2 image, started; another test holds it against the raw one."""
    image = output / "qcow2/disk.qcow2"
    with Machine(image, folder / "console.log", image_format="qcow2") as started:
        started.wait_for("login:", BOOT_SECONDS)
        yield started


@pytest.mark.soak
def test_another_store_gives_the_same_system(folder: Path, key: Path, output: Path) -> None:
    """The initial RAM disk and all that the packages' scripts make included."""
    archives = []
    for name in ("store", "other"):
        store = folder / name
        if name == "other":
            (store / "sources").mkdir(parents=True)
            sources = f"{folder}/store/sources/."
            subprocess.run(["cp", "-a", "--link", sources, str(store / "sources")], check=True)
        tree = build(folder, folder / "debian-disk.json", store, "os") / "os"
        archive = folder / f"{name}.tar"
        command = [
            "tar",
            "-cf",
            str(archive),
            "--sort=name",
            "--format=posix",
            "--xattrs",
            "--xattrs-include=*",
        ]
        command += ["--pax-option=exthdr.name=%d/%f,delete=atime,delete=ctime", "-C", str(tree), "."]
        subprocess.run(command, check=True)
        archives.append(hashlib.sha256(archive.read_bytes()).hexdigest())
    assert archives[0] == archives[1]


def test_both_images_have_the_same_content(output: Path) -> None:
    raw, qcow2 = str(output / "image/disk.img"), str(output / "qcow2/disk.qcow2")
    subprocess.run(["qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, qcow2], check=True)
    subprocess.run(["qemu-img", "check", qcow2], check=True)


def test_the_system_is_up(machine: Machine, key: Path) -> None:
    assert machine.ssh("admin", key, "systemctl is-system-running --wait", BOOT_SECONDS) == "running\n"
    assert machine.ssh("admin", key, "systemctl --failed --no-legend") == ""


def test_it_is_what_the_template_says(machine: Machine, key: Path) -> None:
    assert machine.ssh("admin", key, "hostname") == "machine\n"
    assert machine.ssh("admin", key, "id -Gn").split() == ["admin", "sudo"]
    assert machine.ssh("admin", key, "sudo id -un") == "root\n"
    assert machine.ssh("admin", key, "findmnt -no FSTYPE,OPTIONS /").split()[0] == "ext4"
    assert "errors=remount-ro" in machine.ssh("admin", key, "findmnt -no OPTIONS /")
    assert machine.ssh("admin", key, "cat /etc/default/locale").strip() == "LANG=C.UTF-8"
    assert "console=ttyS0" in machine.ssh("admin", key, "cat /proc/cmdline")


def test_it_is_a_machine_of_its_own(machine: Machine, key: Path) -> None:
    assert len(machine.ssh("admin", key, "cat /etc/machine-id").strip()) == 32
    assert "ssh_host_ed25519_key" in machine.ssh("admin", key, "ls /etc/ssh")


def test_a_password_does_not_log_in(machine: Machine, key: Path) -> None:
    shown = machine.ssh("admin", key, "sudo sshd -T")
    assert "passwordauthentication no" in shown.splitlines()


@pytest.mark.soak
def test_grub_can_be_configured_anew(machine: Machine, key: Path) -> None:
    before = machine.ssh("admin", key, "sudo grep -o 'root=UUID=.*' /boot/grub/grub.cfg").splitlines()
    machine.ssh("admin", key, "sudo update-grub", 300)
    after = machine.ssh("admin", key, "sudo grep -o 'root=UUID=.*' /boot/grub/grub.cfg").splitlines()
    assert before[0].split() == after[0].split()


def test_it_switches_itself_off(machine: Machine, key: Path) -> None:
    machine.ssh("admin", key, "sudo systemd-run --on-active=2 systemctl poweroff")
    machine.wait_until_off(BOOT_SECONDS)
