from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REPO = """
[first]
baseurl = https://cdn.example/content/$releasever/$basearch/os
sslclientkey = /keys/1-key.pem
sslclientcert = /keys/1.pem
sslcacert = /keys/ca.pem
[second]
baseurl = https://cdn.example/other/100%
sslclientkey = /keys/2-key.pem
sslclientcert = /keys/2.pem
[without]
baseurl = https://open.example/
"""


def test_secrets_of_the_repository(tmp_path: Path, sdk: Callable[[str], Any]) -> None:
    (tmp_path / "etc/yum.repos.d").mkdir(parents=True)
    (tmp_path / "etc/yum.repos.d/redhat.repo").write_text(REPO)
    found = sdk("util.rhsm").Subscriptions.from_host_system(str(tmp_path))
    assert found.secrets_for("https://cdn.example/content/9/x86_64/os/Packages/a.rpm") == {
        "key": "/keys/1-key.pem",
        "cert": "/keys/1.pem",
        "cacert": "/keys/ca.pem",
    }
    assert found.secrets_for("https://cdn.example/other/100%/a") == {
        "key": "/keys/2-key.pem",
        "cert": "/keys/2.pem",
    }
    for url in (
        "https://open.example/a",
        "https://cdn.example/content/9/os/a",
        "https://cdn.example/otherwise",
    ):
        with pytest.raises(ValueError):
            found.secrets_for(url)


def test_an_entitlement_serves_for_the_rest(tmp_path: Path, sdk: Callable[[str], Any]) -> None:
    keys = tmp_path / "etc/pki/entitlement"
    keys.mkdir(parents=True)
    (keys / "1-key.pem").touch()
    (keys / "2-key.pem").touch()
    (keys / "2.pem").touch()
    load = sdk("util.rhsm").Subscriptions.from_host_system
    expected = {"key": str(keys / "2-key.pem"), "cert": str(keys / "2.pem")}
    assert load(str(tmp_path)).secrets_for("https://any.example/") == expected
    authority = tmp_path / "etc/rhsm/ca/redhat-uep.pem"
    authority.parent.mkdir(parents=True)
    authority.touch()
    assert load(str(tmp_path)).secrets_for("https://any.example/") == {**expected, "cacert": str(authority)}


def test_secrets_as_curl_calls_them(tmp_path: Path, sdk: Callable[[str], Any]) -> None:
    (tmp_path / "etc/yum.repos.d").mkdir(parents=True)
    (tmp_path / "etc/yum.repos.d/redhat.repo").write_text(REPO)
    found = sdk("util.rhsm").Subscriptions.from_host_system(str(tmp_path))
    second = {
        "ssl_client_key": "/keys/2-key.pem",
        "ssl_client_cert": "/keys/2.pem",
        "ssl_ca_cert": "/etc/rhsm/ca/redhat-uep.pem",
    }
    assert found.get_secrets("https://cdn.example/other/100%/a") == second
    urls = [
        "https://open.example/",
        "https://cdn.example/other/100%/repodata",
        "https://cdn.example/content/9/a/os/",
    ]
    assert found.get_secrets(urls) == second
    with pytest.raises(RuntimeError, match=r"open\.example"):
        found.get_secrets("https://open.example/")


def test_a_machine_may_have_a_certificate_of_its_own(tmp_path: Path, sdk: Callable[[str], Any]) -> None:
    secrets = sdk("util.rhsm").Subscriptions.get_consumer_secrets
    with pytest.raises(RuntimeError, match="registered"):
        secrets(str(tmp_path))
    folder = tmp_path / "etc/pki/consumer"
    folder.mkdir(parents=True)
    for name in ("key.pem", "cert.pem"):
        (folder / name).touch()
    assert secrets(str(tmp_path)) == {
        "consumer_key": str(folder / "key.pem"),
        "consumer_cert": str(folder / "cert.pem"),
    }
