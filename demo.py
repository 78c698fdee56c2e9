"""``make demo``: from the example template to a Debian 12 disk image that has booted.

Resolves manifests/debian-disk.yaml against this machine's apt mirror, builds it in demo/, starts the image
in QEMU and waits until it says on its serial console that it is up. Whatever is in demo/ already is used.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.qemu import BootError, Machine

ROOT = Path(__file__).resolve().parent
DEMO = ROOT / "demo"
OSBUILD_CORE = Path(sys.executable).with_name("osbuild-core")
BOOT_SECONDS = 600
"""Without hardware virtualization, on a machine that does other things too, a boot may take minutes."""


def main() -> int:
    DEMO.mkdir(exist_ok=True)
    key = DEMO / "id_ed25519"
    if not key.exists():
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "demo", "-f", str(key)], check=True
        )
    took: dict[str, float] = {}
    steps: list[tuple[str, Callable[[], None]]] = [
        ("resolve", lambda: resolve(key)),
        ("build", build),
        ("boot", boot),
    ]
    for name, step in steps:
        print(f"== {name}", flush=True)
        started = time.monotonic()
        try:
            step()
        except (subprocess.CalledProcessError, BootError) as error:
            print(f"{name} failed: {error}", file=sys.stderr)
            return 1
        took[name] = time.monotonic() - started
    print("== done")
    print(f"image:  {DEMO / 'image' / 'disk.img'}")
    print(f"        {DEMO / 'qcow2' / 'disk.qcow2'}")
    print(f"log in: user debian, key {key}")
    print("time:   " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in took.items()))
    return 0


def resolve(key: Path) -> None:
    public = key.with_suffix(".pub").read_text().strip()
    command = [OSBUILD_CORE, "resolve", ROOT / "manifests" / "debian-disk.yaml", "-D", f"ssh_key={public}"]
    run(*command, "-o", DEMO / "debian-disk.json")


def build() -> None:
    exports = ["--export", "image", "--export", "qcow2", "--output-directory", DEMO]
    run(OSBUILD_CORE, "build", DEMO / "debian-disk.json", "--store", DEMO / "store", *exports)


def boot() -> None:
    console = DEMO / "console.log"
    with Machine(DEMO / "image" / "disk.img", console) as machine:
        print(f"its console: {console}", flush=True)
        machine.wait_for("login:", BOOT_SECONDS)
        prompt = next(line for line in machine.output().splitlines() if "login:" in line)
        print(f"it is up: {prompt.strip()}")


def run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True)


if __name__ == "__main__":
    sys.exit(main())
