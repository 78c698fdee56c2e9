"""A real suite, resolved against the entries of the machine that the tests run on."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from localarchive import names_of

from osbuild_core.model.errors import ResolveError
from osbuild_core.resolve import ResolveSettings, dumps, resolve

TEMPLATE = """
pipelines:
- name: os
  stages:
  - refs:
      $packages: {suite: bookworm, architecture: amd64, base: minbase, include: [linux-image-amd64]}
"""


def test_bookworm_with_a_kernel(tmp_path: Path) -> None:
    template = tmp_path / "os.yaml"
    template.write_text(TEMPLATE)
    settings = ResolveSettings(state_dir=tmp_path / "state")
    try:
        manifest = resolve(template, settings=settings)
    except ResolveError as error:
        if error.code in ("resolve.no-entry", "resolve.apt-missing"):
            pytest.skip(f"this machine does not serve bookworm: {error.detail}")
        raise
    names = names_of(manifest)
    assert {"libc6", "dpkg", "bash", "apt", "linux-image-amd64", "initramfs-tools"} <= set(names)
    assert "debian-installer" not in names and len(names) < 200
    assert names.index("libc6") < names.index("bash")
    assert not re.search("@", dumps(manifest["sources"]))
    assert dumps(resolve(template, settings=settings)) == dumps(manifest)
    assert names == simulated(next(settings.state_dir.iterdir()), names)


def simulated(state: Path, names: list[str]) -> list[str]:
    """Return the order in which apt says that it would unpack ``names``."""
    done = subprocess.run(
        ["apt-get", "-s", "--no-install-recommends", "install", *names],
        env=dict(os.environ, APT_CONFIG=str(state / "apt.conf"), LC_ALL="C.UTF-8"),
        capture_output=True,
        text=True,
        check=True,
    )
    return re.findall(r"^Inst (\S+) ", done.stdout, re.MULTILINE)
