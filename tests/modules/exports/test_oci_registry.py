"""org.osbuild.oci-registry, against Debian's docker-registry on loopback."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.modules.stages.harness import apply

from .harness import run

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed"),
    pytest.mark.skipif(not shutil.which("docker-registry"), reason="docker-registry is not installed"),
]

CONFIGURATION = """
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {directory}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    configuration = tmp_path / "registry.yml"
    configuration.write_text(CONFIGURATION.format(directory=tmp_path / "registry", port=port))
    with subprocess.Popen(["docker-registry", "serve", str(configuration)]) as process:
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/").close()
                    break
                except urllib.error.URLError:
                    assert time.monotonic() < deadline and process.poll() is None
                    time.sleep(0.05)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    base = tmp_path / "base"
    base.mkdir()
    (base / "file").write_text("content")
    tree = tmp_path / "tree"
    tree.mkdir()
    options = {"architecture": "x86_64", "filename": "image:1.tar"}
    apply("oci-archive", tree, options, inputs={"base": base}, epoch=1_600_000_000)
    return tree


def manifest_of(registry: str, name: str) -> tuple[str, Any]:
    request = urllib.request.Request(
        f"http://{registry}/v2/{name}", headers={"Accept": "application/vnd.oci.image.manifest.v1+json"}
    )
    with urllib.request.urlopen(request) as reply:
        return reply.headers["Docker-Content-Digest"], json.load(reply)


def test_the_image_can_be_pulled_by_all_its_tags(tree: Path, registry: str) -> None:
    options = {
        "source": "/image:1.tar",
        "image": f"{registry}/team/os:12",
        "tags": ["12.1", "12"],
        "tls": False,
    }
    done = run("oci-registry", tree, options)
    assert done.error is None, done
    names = [f"{registry}/team/os:12", f"{registry}/team/os:12.1"]
    assert (done.data["image"], done.data["images"]) == (names[0], names)
    for tag in ("12", "12.1"):
        digest, manifest = manifest_of(registry, f"team/os/manifests/{tag}")
        assert digest == done.data["digest"]
        assert len(manifest["layers"]) == 1
    # Again: nothing to push, the same answer.
    assert run("oci-registry", tree, options).data == done.data


def test_what_goes_wrong(tree: Path, registry: str) -> None:
    missing = run("oci-registry", tree, {"source": "/other.tar", "image": f"{registry}/os", "tls": False})
    assert missing.error == "the tree has no file /other.tar" and missing.place == ("source",)
    plain = run("oci-registry", tree, {"source": "/image:1.tar", "image": f"{registry}/os"})
    assert plain.error and "tls" in str(plain.hint)
    (tree / "no.tar").write_text("no archive")
    broken = run("oci-registry", tree, {"source": "/no.tar", "image": f"{registry}/os", "tls": False})
    assert broken.error and "\n" not in broken.error
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    options = {"source": "/image:1.tar", "image": f"127.0.0.1:{port}/os", "tls": False}
    nobody = run("oci-registry", tree, options)
    assert nobody.error and "does it run" in str(nobody.hint)


def test_no_environment_without_skopeo(tree: Path) -> None:
    done = run(
        "oci-registry",
        tree,
        {"source": "/image:1.tar", "image": "r.example/os"},
        environment={"PATH": "/nowhere"},
    )
    assert done.error and "skopeo" in str(done.hint)
