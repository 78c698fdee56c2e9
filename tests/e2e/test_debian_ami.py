"""manifests/debian-ami.yaml: a disk that EC2 takes, and that cloud-init makes a machine of its own when it starts.

What EC2 has and QEMU has too is used: an NVMe drive that is larger than the image, a serial console, and, at its
link-local address, a service that tells the machine who it is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.emulator.aws.client import Emulator

from .debian import OSBUILD_CORE, ROOT, build, command, resolve
from .qemu import Machine

pytestmark = [pytest.mark.root, pytest.mark.slow]

# Emulated, and on a machine that may do other things at the same time.
BOOT_SECONDS = 600

GIB = 1024**3
VOLUME = 4 * GIB
BLOCK = 512 * 1024
MAC = "52:54:00:e2:00:01"
INSTANCE = "i-0123456789abcdef0"
INSTANCE_UUID = "ec2b7a10-93c4-4d6e-8f15-26a0d97e4c38"
TIME_SERVICE = "169.254.169.123"

# Emulated, the other kinds of host key take half a minute.
CLOUD_CONFIG = '#cloud-config\nssh_genkeytypes: ["ed25519"]\n'


class Instance(Machine):
    """A machine as EC2 has them: the disk is an NVMe drive on a volume of its own, which is larger than the image.

    ``seed`` is a second disk, ``network`` are settings of QEMU's own network, ``firmware`` is what the firmware
    says about the machine.
    """

    def __init__(
        self, image: Path, folder: Path, *, seed: Path | None = None, network: str = "", firmware: str = ""
    ) -> None:
        volume = folder / "volume.qcow2"
        create = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(image), "-F", "raw"]
        subprocess.run([*create, str(volume), str(VOLUME)], check=True)
        super().__init__(volume, folder / "console.log", image_format="qcow2")
        drives = ["-drive", f"file={volume},format=qcow2,if=none,id=volume"]
        # The firmware would start from the seed otherwise.
        drives += ["-device", "nvme,drive=volume,serial=vol0,bootindex=0"]
        if seed:
            drives += ["-drive", f"file={seed},format=raw,if=virtio,readonly=on"]
        forward = f"hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22"
        self.command = [
            *("qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot"),
            *("-accel", "tcg,thread=multi", "-smp", "2", "-m", "1024", "-serial", "stdio"),
            *drives,
            *("-netdev", f"user,id=net,{forward}{network}"),
            *("-device", f"virtio-net-pci,netdev=net,mac={MAC}", "-device", "virtio-rng-pci"),
            *(["-smbios", firmware] if firmware else []),
        ]


class MetadataService(ThreadingHTTPServer):
    """The instance metadata service, version 2: what it knows is only for those who have asked for a token."""

    token = "a-token-of-the-test"

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), MetadataRequest)
        self.values = values


class MetadataRequest(BaseHTTPRequestHandler):
    server: MetadataService

    def do_PUT(self) -> None:
        self.reply(200 if self.path == "/latest/api/token" else 404, self.server.token)

    def do_GET(self) -> None:
        if self.headers.get("X-aws-ec2-metadata-token") != self.server.token:
            self.reply(401, "")
            return
        # The first part of the path is the version.
        text = self.look_up(self.path.lstrip("/").partition("/")[2])
        self.reply(404 if text is None else 200, text or "")

    def look_up(self, path: str) -> str | None:
        """Return the value of ``path`` or, where it is a directory, its list; None where there is no such thing."""
        values = self.server.values
        if path in values:
            return values[path]
        folder = path.rstrip("/") + "/" if path else ""
        names = [key.removeprefix(folder) for key in values if key.startswith(folder)]
        if folder == "meta-data/public-keys/":
            names = ["0=test"]
        listed = {name.partition("/")[0] + ("/" if "/" in name else "") for name in names}
        return "\n".join(sorted(listed)) or None

    def reply(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing of it belongs between the tests' results."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("debian-ami")


@pytest.fixture(scope="module")
def key(folder: Path) -> Path:
    path = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def image(folder: Path) -> Path:
    manifest = resolve(folder, "debian-ami")
    return build(folder, manifest, folder / "store", "image") / "image/disk.raw"


@pytest.fixture(scope="module")
def table(image: Path) -> dict[str, Any]:
    """The partition table as sfdisk has it."""
    shown = subprocess.run(["sfdisk", "--json", str(image)], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(shown.stdout)["partitiontable"]
    return found


@pytest.fixture(scope="module")
def system(folder: Path, image: Path, table: dict[str, Any]) -> Iterator[Path]:
    """The image's root file system, mounted."""
    where = folder / "system"
    where.mkdir()
    options = f"loop,ro,noload,offset={table['partitions'][-1]['start'] * 512}"
    subprocess.run(["mount", "-t", "ext4", "-o", options, str(image), str(where)], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", str(where)], check=True)


@pytest.fixture(scope="module")
def seed(folder: Path, key: Path) -> Path:
    """A disk for cloud-init, as its NoCloud data source looks for."""
    if not shutil.which("mformat"):
        pytest.skip("mtools, which makes the seed, is not installed")
    user = {"name": "tester", "shell": "/bin/bash", "sudo": "ALL=(ALL) NOPASSWD:ALL"}
    public = key.with_suffix(".pub").read_text().strip()
    users = json.dumps([{**user, "ssh_authorized_keys": [public]}])
    (folder / "user-data").write_text(f"{CLOUD_CONFIG}users: {users}\n")
    (folder / "meta-data").write_text(json.dumps({"instance-id": "seeded-1", "local-hostname": "seeded"}))
    disk = folder / "seed.img"
    subprocess.run(["mformat", "-C", "-i", str(disk), "-T", "2048", "-v", "CIDATA", "::"], check=True)
    files = [str(folder / name) for name in ("user-data", "meta-data")]
    subprocess.run(["mcopy", "-i", str(disk), *files, "::"], check=True)
    return disk


@pytest.fixture(scope="module")
def machine(folder: Path, image: Path, seed: Path, key: Path) -> Iterator[Machine]:
    (folder / "seeded").mkdir()
    with Instance(image, folder / "seeded", seed=seed) as started:
        # The exit status is not 0 where a part of cloud-init has failed.
        started.ssh("tester", key, "cloud-init status --wait", BOOT_SECONDS)
        yield started


@pytest.fixture(scope="module")
def metadata_service(key: Path) -> Iterator[MetadataService]:
    interface = f"meta-data/network/interfaces/macs/{MAC}"
    instance = {"accountId": "123456789012", "instanceId": INSTANCE, "region": "us-east-1"}
    values = {
        "dynamic/instance-identity/document": json.dumps(instance),
        "meta-data/ami-id": "ami-0123456789abcdef0",
        "meta-data/instance-id": INSTANCE,
        "meta-data/instance-type": "t3.micro",
        "meta-data/local-hostname": "ip-10-1-2-3.ec2.internal",
        "meta-data/placement/availability-zone": "us-east-1a",
        "meta-data/placement/region": "us-east-1",
        "meta-data/public-keys/0/openssh-key": key.with_suffix(".pub").read_text().strip(),
        f"{interface}/device-number": "0",
        f"{interface}/local-ipv4s": "10.1.2.3",
        f"{interface}/mac": MAC,
        f"{interface}/subnet-ipv4-cidr-block": "10.1.2.0/24",
        "user-data": CLOUD_CONFIG,
    }
    with MetadataService(values) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_disk_is_what_ec2_takes(image: Path, table: dict[str, Any]) -> None:
    boot, root = table["partitions"]
    assert table["label"] == "gpt"
    assert boot["type"] == "21686148-6449-6E6F-744E-656564454649"
    assert root["type"] == "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
    subprocess.run(["sfdisk", "--verify", str(image)], check=True)
    # Whole GiB, as a volume has; and nothing comes after the root file system, which is to grow.
    assert image.stat().st_size == 2 * GIB
    assert root["start"] > boot["start"]
    assert root["start"] + root["size"] > (2 * GIB - 2 * 1024**2) // 512


def test_a_bios_finds_grub(image: Path, table: dict[str, Any]) -> None:
    with image.open("rb") as file:
        first = file.read(512)
        file.seek(table["partitions"][0]["start"] * 512)
        core = file.read(512)
    assert b"GRUB" in first
    assert first[510:] == b"\x55\xaa"
    # The boot sector says where the core image is.
    assert int.from_bytes(first[0x5C:0x64], "little") == table["partitions"][0]["start"]
    assert core.strip(b"\0")


def test_grub_and_the_kernel_use_the_serial_line(system: Path) -> None:
    shown = (system / "boot/grub/grub.cfg").read_text()
    assert "\nserial --unit=0 --speed=115200\n" in shown
    assert "\nterminal_output serial console\n" in shown
    for line in re.findall(r"^\tlinux .*$", shown, re.MULTILINE):
        consoles = [word for word in line.split() if word.startswith("console=")]
        assert consoles == ["console=tty1", "console=ttyS0,115200"]


def test_the_initial_ram_disk_has_the_drivers(system: Path) -> None:
    (kernel,) = (system / "usr/lib/modules").iterdir()
    initrd = f"/boot/initrd.img-{kernel.name}"
    shown = subprocess.run(
        ["chroot", system, "lsinitramfs", initrd], check=True, capture_output=True, text=True
    )
    there = {Path(line).name for line in shown.stdout.splitlines()}
    there |= {Path(line).name for line in (kernel / "modules.builtin").read_text().splitlines()}
    assert {"ena.ko", "nvme.ko", "xen-blkfront.ko", "ext4.ko"} <= there
    assert "fsck.ext4" in there


def test_cloud_init_and_chrony_are_set_up(system: Path) -> None:
    config: dict[str, Any] = {}
    for path in sorted((system / "etc/cloud/cloud.cfg.d").glob("*.cfg")):
        config.update(yaml.safe_load(path.read_text()))
    assert config["datasource_list"] == ["Ec2", "NoCloud", "None"]
    assert config["ssh_pwauth"] is False
    assert (system / "usr/bin/growpart").exists()
    lines = (system / "etc/chrony/chrony.conf").read_text().splitlines()
    keywords = ("server ", "pool ", "leapsectz ")
    servers = [line for line in lines if line.startswith(keywords)]
    assert servers == [f"server {TIME_SERVICE} prefer iburst minpoll 4 maxpoll 4"]


def test_nothing_in_it_belongs_to_one_machine(system: Path) -> None:
    assert (system / "etc/machine-id").read_bytes() == b""
    for path in (
        "etc/hostname",
        "var/lib/dbus/machine-id",
        "var/lib/systemd/random-seed",
        "var/lib/cloud/data",
    ):
        assert not (system / path).exists()
    assert not list((system / "etc/ssh").glob("ssh_host_*"))


def test_nobody_can_log_in_before_cloud_init_says_so(system: Path) -> None:
    passwords = [line.split(":")[1] for line in (system / "etc/shadow").read_text().splitlines()]
    assert passwords
    assert all(password.startswith(("*", "!")) for password in passwords)
    assert not list((system / "home").iterdir())
    for path in (system / "root", system / "etc", system / "var"):
        names = {found.name for found in path.rglob("*")}
        assert not names & {"authorized_keys", "id_rsa", "id_ed25519", "credentials"}
        command = ["grep", "-rIl", "-e", "-----BEGIN .*PRIVATE KEY", str(path)]
        assert subprocess.run(command, capture_output=True, text=True).stdout == ""


def test_variables_of_the_template(folder: Path, image: Path) -> None:
    manifest = folder / "other.json"
    variables = {
        "hostname": "web",
        "size": "3G",
        "time_servers": '["time.example.org"]',
        "packages": '["less"]',
    }
    defines = [word for name, value in variables.items() for word in ("-D", f"{name}={value}")]
    done = command(
        folder, "resolve", ROOT / "manifests/debian-ami.yaml", *defines, "-o", manifest, "--offline"
    )
    assert done.returncode == 0, done.stderr
    assert command(folder, "inspect", manifest).returncode == 0
    pipelines = {
        pipeline["name"]: pipeline["stages"] for pipeline in json.loads(manifest.read_text())["pipelines"]
    }
    options = {stage["type"]: stage.get("options", {}) for stage in pipelines["os"]}
    assert options["org.osbuild.hostname"] == {"hostname": "web"}
    assert options["org.osbuild.chrony"] == {"timeservers": ["time.example.org"]}
    assert [stage["type"] for stage in pipelines["os"]].count("org.osbuild.deb") == 2
    assert pipelines["image"][0]["options"]["size"] == "3G"


# A second machine takes two minutes of both cores; the seed's has everything but where its settings come from.
@pytest.mark.soak
def test_ec2_tells_it_who_it_is(
    folder: Path, image: Path, key: Path, metadata_service: MetadataService
) -> None:
    """The user of the template gets the key that the instance was started with."""
    (folder / "ec2").mkdir()
    port = metadata_service.server_address[1]
    # QEMU starts this for each connection of the machine, with the connection as input and output.
    relay = f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}; cat <&0 >&3 & cat <&3; kill $!'"
    network = f",net=169.254.169.0/24,guestfwd=tcp:169.254.169.254:80-cmd:{relay}"
    firmware = f"type=1,uuid={INSTANCE_UUID},serial={INSTANCE_UUID}"
    with Instance(image, folder / "ec2", network=network, firmware=firmware) as machine:
        assert machine.ssh("admin", key, "cloud-id", BOOT_SECONDS) == "aws\n"
        assert machine.ssh("admin", key, "hostname") == "ip-10-1-2-3\n"
        assert machine.ssh("admin", key, "sudo id -un") == "root\n"


def test_the_seed_is_what_it_becomes(machine: Machine, key: Path) -> None:
    assert machine.ssh("tester", key, "cloud-id") == "nocloud\n"
    assert machine.ssh("tester", key, "hostname") == "seeded\n"
    assert machine.ssh("tester", key, "sudo id -un") == "root\n"
    assert machine.ssh("tester", key, "sudo passwd --status tester").split()[1] == "L"
    assert len(machine.ssh("tester", key, "cat /etc/machine-id").strip()) == 32


def test_the_root_file_system_has_grown(machine: Machine, key: Path) -> None:
    source, size = machine.ssh("tester", key, "findmnt -bno SOURCE,SIZE /").split()
    assert source == "/dev/nvme0n1p2"
    assert int(size) > VOLUME * 0.9
    machine.ssh("tester", key, "sudo sfdisk --verify /dev/nvme0n1")


def test_the_system_is_up(machine: Machine, key: Path) -> None:
    assert machine.ssh("tester", key, "systemctl is-system-running --wait", BOOT_SECONDS) == "running\n"
    assert machine.ssh("tester", key, "systemctl --failed --no-legend") == ""
    assert TIME_SERVICE in machine.ssh("tester", key, "chronyc -n sources")
    machine.ssh("tester", key, "sudo modprobe ena")


def test_a_password_does_not_log_in(machine: Machine, key: Path) -> None:
    shown = machine.ssh("tester", key, "sudo sshd -T").splitlines()
    for setting in ("passwordauthentication", "kbdinteractiveauthentication", "permitrootlogin"):
        assert f"{setting} no" in shown


def test_the_serial_console_has_it_all(machine: Machine) -> None:
    for text in ("GNU GRUB", "Linux version", "Cloud-init v.", "seeded login:"):
        machine.wait_for(text, BOOT_SECONDS)


def test_one_build_makes_an_ami_of_it(folder: Path, image: Path) -> None:
    """From the same manifest and store, with the credentials of the environment; the blocks are those of the disk."""
    with Emulator() as emulator:
        environment = {**os.environ, **emulator.environment("AKIAEMULATORTEST0001", "us-east-1")}
        words = [
            "build",
            folder / "debian-ami.json",
            "--store",
            folder / "store",
            "--export",
            "ami",
            "--json",
        ]
        done = subprocess.run(
            [OSBUILD_CORE, *words],
            env={**environment, "XDG_STATE_HOME": str(folder / "state")},
            capture_output=True,
            text=True,
            check=True,
        )
        (exported,) = json.loads(done.stdout)["exports"]
        made = exported["data"]["images"]["debian-12"]["us-east-1"]
        state = emulator.state()["regions"]["us-east-1"]
        assert state["images"][made]["boot_mode"] == "legacy-bios"
        (snapshot,) = state["snapshots"]
        blocks = emulator.blocks("us-east-1", snapshot)
        with image.open("rb") as file:
            for index in range(image.stat().st_size // BLOCK):
                assert file.read(BLOCK) == blocks.get(index, bytes(BLOCK)), index
