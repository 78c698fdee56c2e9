"""The variables that callers set."""

from __future__ import annotations

import pytest

from tests.integration.osbuild_cli.conftest import HELLO

pytestmark = pytest.mark.root


@pytest.mark.parametrize(
    "name",
    [
        "OSBUILD_SOURCES_CURL_PROXY",
        "OSBUILD_SOURCES_CURL_SSL_CLIENT_KEY",
        "OSBUILD_SOURCES_OSTREE_INSECURE",
        "REGISTRY_AUTH_FILE",
    ],
)
def test_sources_have_all_of_it(bench, name):
    bench.environment[name] = "of the caller"
    bench.add_service("sources/org.osbuild.own", f"raise ValueError(os.environ[{name!r}])")
    manifest = bench.document({"name": "p"}, sources={"org.osbuild.own": {"items": {HELLO: {}}}})
    assert "of the caller" in bench.osbuild(manifest, "--json").result.failed["output"]


@pytest.mark.parametrize(("value", "owner"), [("1", 0), ("0", 1234), (None, 1234)])
def test_owners_of_exports(bench, value, owner):
    if value is not None:
        bench.environment["OSBUILD_EXPORT_FORCE_NO_PRESERVE_OWNER"] = value
    manifest = bench.fail_with(
        "open(args['tree'] + '/f', 'w').close(); os.chown(args['tree'] + '/f', 1234, 5)"
    )
    assert bench.osbuild(manifest, "--export", "p").status == 0
    assert (bench.out / "p" / "f").stat().st_uid == owner


@pytest.mark.parametrize(("value", "log"), [("a,debug-qemu-user", "unimp"), ("qemu", None), (None, None)])
def test_what_a_stage_gets_of_it(bench, value, log):
    bench.environment["TERM"] = "vt100"
    if value is not None:
        bench.environment["OSBUILD_EXPERIMENTAL"] = value
    manifest = bench.fail_with(
        f"assert os.environ.get('QEMU_LOG') == {log!r} and os.environ['TERM'] == 'vt100', os.environ"
    )
    ran = bench.osbuild(manifest, "--export", "p")
    assert ran.status == 0, ran.stderr
