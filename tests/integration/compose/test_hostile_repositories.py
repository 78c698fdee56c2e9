"""Repositories on a server, and such as mean harm: what they say about places and addresses leads nowhere."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from osbuild_core.exports.compose.configuration import ComposeSettings
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.generate import Place, generate, resolve
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType
from tests.packages.rpms import Rpm, repository

from .test_rpm_composes import ED, packages

pytestmark = pytest.mark.root


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(rpms: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(rpms))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_repository_on_a_server(served: str, settings: ComposeSettings, tmp_path: Path) -> None:
    request = ComposeRequest(SourceType.repo, served, packages=("ed",))
    allowed = replace(settings, allowed_sources=(served,))
    result = generate(resolve(request, allowed), Place(tmp_path / "target", 1), allowed)
    assert packages(result) == ED
    for other in (None, (), ("http://127.0.0.1:1/",)):
        with pytest.raises(ComposeError) as caught:
            resolve(request, replace(settings, allowed_sources=other))
        assert caught.value.code == "compose.source"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repository(tmp_path_factory.mktemp("hostile") / "plain", [Rpm("ed")])


def rewritten(source: Path, target: Path, pattern: str, by: str) -> Path:
    """Return a copy of a repository with other metadata; their checksums are right."""
    shutil.copytree(source, target)
    repomd = target / "repodata/repomd.xml"
    (primary,) = target.glob("repodata/*primary.xml.gz")
    text = re.sub(pattern, by, gzip.decompress(primary.read_bytes()).decode())
    assert text != gzip.decompress(primary.read_bytes()).decode()
    before = hashlib.sha256(primary.read_bytes()).hexdigest()
    primary.write_bytes(gzip.compress(text.encode()))
    after = hashlib.sha256(primary.read_bytes()).hexdigest()
    repomd.write_text(repomd.read_text().replace(f'"sha256">{before}', f'"sha256">{after}'))
    return target


@pytest.mark.parametrize(
    ("pattern", "by"),
    [
        ("<name>ed</name>", "<name>../../../../../ed</name>"),
        ("<name>ed</name>", "<name>/etc/ed</name>"),
        ('ver="1.0"', 'ver="../1"'),
        ('href="ed', 'href="http://169.254.169.254/ed'),
        ('href="ed', 'href="file:///etc/ed'),
        ('href="ed', 'href="../../../../etc/ed'),
        ('href="ed', 'href="%2e%2e/ed'),
        ('href="ed', 'xml:base="http://localhost/" href="ed'),
        ('<checksum type="sha256" pkgid="YES">[0-9a-f]+', '<checksum type="sha256" pkgid="YES">' + "0" * 64),
    ],
)
def test_metadata_that_lead_elsewhere(
    plain: Path, settings: ComposeSettings, tmp_path: Path, pattern: str, by: str
) -> None:
    repo = rewritten(plain, tmp_path / "repo", pattern, by)
    allowed = replace(settings, allowed_sources=(str(repo),))
    request = ComposeRequest(SourceType.repo, str(repo))
    before = set(tmp_path.iterdir())
    with pytest.raises(ComposeError) as caught:
        generate(request, Place(tmp_path / "target", 1), allowed)
    assert caught.value.code in ("compose.source", "compose.build")
    assert set(tmp_path.iterdir()) - before == {tmp_path / "target"}
    assert [
        path.name for path in (tmp_path / "target/odcs-1").iterdir() if not path.name.endswith(".log")
    ] == []


@pytest.mark.parametrize("href", ["../../../etc/other", "%2e%2e/other", "http://169.254.169.254/other"])
def test_entries_that_would_be_carried_over_from_elsewhere(
    plain: Path, settings: ComposeSettings, tmp_path: Path, href: str
) -> None:
    repo = tmp_path / "repo"
    shutil.copytree(plain, repo)
    repomd = repo / "repodata/repomd.xml"
    repomd.write_text(re.sub('href="[^"]*-other.xml.gz"', f'href="{href}"', repomd.read_text()))
    (repo.parent / "other").write_text("a file that is there")
    allowed = replace(settings, allowed_sources=(str(repo),))
    with pytest.raises(ComposeError) as caught:
        generate(ComposeRequest(SourceType.repo, str(repo)), Place(tmp_path / "target", 1), allowed)
    assert caught.value.code == "compose.source"
    assert "nothing is read from" in caught.value.detail


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no xml",
        "<repomd/>",
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><repomd>&e;</repomd>',
        '<repomd xmlns="http://linux.duke.edu/metadata/repo"><data type="primary"><location/></data></repomd>',
    ],
)
def test_a_repomd_that_is_none(settings: ComposeSettings, tmp_path: Path, text: str) -> None:
    (tmp_path / "repo/repodata").mkdir(parents=True)
    (tmp_path / "repo/repodata/repomd.xml").write_text(text)
    with pytest.raises(ComposeError, match="no RPM repository that can be read"):
        resolve(ComposeRequest(SourceType.repo, str(tmp_path / "repo")), settings)
