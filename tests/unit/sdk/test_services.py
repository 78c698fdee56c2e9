"""Services as others have written them, in styles of some years."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.protocol.jsoncomm import Socket
from osbuild_core.protocol.service import RemoteError, ServiceClient

SDK = Path(__file__).resolve().parents[3] / "osbuild_core" / "sdk"


@contextmanager
def running(tmp_path: Path, code: str) -> Iterator[ServiceClient]:
    """Run a service whose class is ``code``; it has to end well."""
    program = tmp_path / "service.py"
    end = "\nif __name__ == '__main__':\n    Service.from_args(sys.argv[1:]).main()\n"
    program.write_text(
        "import os, sys\nfrom osbuild import devices, host, sources\n" + textwrap.dedent(code) + end
    )
    ours, theirs = Socket.pair()
    with theirs:
        process = subprocess.Popen(
            [
                sys.executable,
                str(program),
                "--service-fd",
                str(theirs.fileno()),
                "--service-id",
                "source/test",
            ],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": str(SDK)},
        )
    with ServiceClient(ours) as client:
        yield client
    assert process.wait(30) == 0


def ask(client: ServiceClient, name: str, args: dict[str, Any]) -> Any:
    reply, fds = client.call(name, args)
    fds.close()
    return reply


ITEMS = {"sha256:" + "0" * 64: {"text": "a"}, "sha256:" + "1" * 64: {"text": "b"}}


@pytest.mark.parametrize(
    "code",
    [
        # Before 2022: the cache is a parameter.
        """
        class Service(sources.SourceService):
            content_type = "org.example.files"

            def download(self, items, cache, options):
                assert options == {"x": 1} and os.path.join(cache, self.content_type) == self.cache
                for checksum, desc in items.items():
                    open(os.path.join(self.cache, checksum), "w").write(desc["text"])
        """,
        # Until 2023: one after the other, after a transformation.
        """
        class Service(sources.SourceService):
            content_type = "org.example.files"
            max_workers = 2

            def transform(self, checksum, desc):
                return checksum, desc["text"]

            def fetch_one(self, checksum, desc):
                open(os.path.join(self.cache, checksum), "w").write(desc)
        """,
        # Since then: all, with a directory for what is not verified.
        """
        class Service(sources.SourceService):
            content_type = "org.example.files"

            def fetch_one(self, checksum, desc):
                raise RuntimeError("not used")

            def fetch_all(self, items):
                assert self.options["x"] == 1
                missing = filter(lambda i: not self.exists(i[0], i[1]), items.items())
                for checksum, desc in missing:
                    path = os.path.join(self.tmpdir, checksum)
                    open(path, "w").write(desc["text"])
                    os.rename(path, os.path.join(self.cache, checksum))
        """,
    ],
)
def test_sources_of_all_ages_fetch(code: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with running(tmp_path, code) as client:
        reply = ask(client, "download", {"items": ITEMS, "options": {"x": 1}, "cache": str(cache)})
    assert reply is None or reply["success"]
    assert {path.name: path.read_text() for path in (cache / "org.example.files").iterdir()} == {
        checksum: desc["text"] for checksum, desc in ITEMS.items()
    }


def test_a_device_gets_its_parent_as_it_is_named_below_dev(tmp_path: Path) -> None:
    code = """
    class Service(devices.DeviceService):
        def open(self, devpath, parent, tree, options):
            return {"path": "x", "parent": parent, "all": [devpath, tree, options]}

        def close(self):
            pass
    """
    with running(tmp_path, code) as client:
        args = {"dev": "/run/dev", "tree": "/tree", "parent": "mapper/luks", "options": {}}
        reply = ask(client, "open", args)
        assert reply == {"path": "x", "parent": "mapper/luks", "all": ["/run/dev", "/tree", {}]}
        assert ask(client, "open", {**args, "parent": None})["parent"] is None


def test_a_service_may_answer_its_own_methods(tmp_path: Path) -> None:
    code = """
    class Service(host.Service):
        def dispatch(self, method, args, _fds):
            if method == "add":
                return sum(args), None
            raise host.ProtocolError("Unknown method")
    """
    with running(tmp_path, code) as client:
        reply, _ = client.call("add", [1, 2, 3])
        assert reply == 6
        with pytest.raises(RemoteError, match="Unknown method"):
            client.call("other")
