"""Where the gate of a process leads that has no other network, and through which proxies."""

from __future__ import annotations

import pytest

from osbuild_core.exports.compose.addresses import check_address, check_redirect, gated
from osbuild_core.exports.compose.configuration import ComposeSettings, ContentSet
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.gate import way
from osbuild_core.exports.compose.proxies import of_machine, without_proxies
from osbuild_core.exports.compose.request import ComposeRequest
from osbuild_core.exports.compose.vocabulary import SourceType

INSIDE = ContentSet("https://pulp.inside:8443/content")


def test_hosts_of_the_configuration_are_reached_by_requests_for_them() -> None:
    settings = ComposeSettings(
        allowed_sources=("http://mirror.test/repo/", "/srv/repo"), content_sets={"base": INSIDE}
    )
    repo = way(ComposeRequest(SourceType.repo, "http://mirror.test/repo/x"), settings)
    assert (repo.hosts, repo.everywhere) == ({("mirror.test", 80)}, False)
    pulp = way(ComposeRequest(SourceType.pulp, "base"), settings)
    assert pulp.hosts == {("mirror.test", 80), ("pulp.inside", 8443)}
    assert way(
        ComposeRequest(SourceType.repo, "x"), ComposeSettings(allowed_sources=("https://",))
    ).everywhere


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, {}),
        ({"http_proxy": "proxy:3128"}, {"http": "http://proxy:3128"}),
        ({"HTTP_PROXY": "http://proxy"}, {}),
        (
            {"HTTPS_PROXY": "http://u:p@proxy", "OSBUILD_SOURCES_CURL_PROXY": "x"},
            {"https": "http://u:p@proxy"},
        ),
        ({"OSBUILD_SOURCES_CURL_PROXY": "http://proxy"}, {"all": "http://proxy"}),
    ],
)
def test_proxies_of_the_machine(variables: dict[str, str], found: dict[str, str]) -> None:
    assert of_machine(variables) == found
    assert without_proxies({**variables, "PATH": "/bin"}) == {"PATH": "/bin"}


def test_a_proxy_that_the_gate_cannot_use_is_told_without_its_password() -> None:
    for proxy in ("socks5://user:secret@proxy", "https://user:secret@proxy", "http://user:secret@proxy:x"):
        with pytest.raises(ComposeError, match="proxy") as caught:
            of_machine({"all_proxy": proxy})
        assert "secret" not in f"{caught.value.detail} {caught.value.hint}"


def test_names_are_left_to_the_gate() -> None:
    """Nothing inside knows them."""
    nowhere = "http://nowhere.invalid/repo"
    assert check_address(nowhere, gated(None)) == nowhere
    check_redirect(nowhere, gated(("http://mirror.test/",)))
    for address, allowed in ((nowhere, ("http://mirror.test/",)), ("/etc/passwd", ()), ("gate:/x", ())):
        with pytest.raises(ComposeError):
            check_address(address, gated(allowed))
