"""A specification becomes a bubblewrap call."""

from __future__ import annotations

from osbuild_core.sandbox.capabilities import DEFAULT, granted, held
from osbuild_core.sandbox.spec import Bind, SandboxSpec, bubblewrap_argv, environment

SPEC = SandboxSpec(
    argv=("/run/osbuild/bin/stage", "--flag"),
    usr="/tree/usr",
    dev="/frame/dev",
    etc="/frame/etc",
    var="/frame/var",
    cmdline="/frame/cmdline",
    binds=(Bind("/a", "/run/a"), Bind("/b", "/run/a/b", "rw")),
    capabilities=frozenset({"CAP_CHOWN", "CAP_AUDIT_WRITE"}),
)


def triples(argv):
    """Return the binds of a call, in order."""
    return [
        tuple(argv[n : n + 3]) for n, word in enumerate(argv) if word in ("--bind", "--ro-bind", "--dev-bind")
    ]


def test_the_program_comes_last_and_after_the_end_of_options():
    argv = bubblewrap_argv(SPEC, "/usr/bin/bwrap")
    assert argv[0] == "/usr/bin/bwrap"
    assert argv[-3:] == ["--", "/run/osbuild/bin/stage", "--flag"]


def test_binds_of_the_caller_come_after_the_file_systems_that_they_lie_on():
    argv = bubblewrap_argv(SPEC)
    found = triples(argv)
    assert found[:4] == [
        ("--ro-bind", "/tree/usr", "/usr"),
        ("--dev-bind", "/frame/dev", "/dev"),
        ("--bind", "/frame/etc", "/etc"),
        ("--bind", "/frame/var", "/var"),
    ]
    assert found[-2:] == [("--ro-bind", "/a", "/run/a"), ("--bind", "/b", "/run/a/b")]
    assert argv.index("/run") < argv.index("/run/a")
    assert argv.index("/proc") < argv.index("/proc/cmdline")


def test_a_filter_of_system_calls_is_read_from_its_descriptor():
    assert "--seccomp" not in bubblewrap_argv(SPEC)
    argv = bubblewrap_argv(SPEC._replace(seccomp=b"filter"))
    assert argv[argv.index("--seccomp") + 1] == "3"


def test_boot_and_selinux_are_shown_where_they_are():
    assert "/boot" not in bubblewrap_argv(SPEC)
    assert ("--ro-bind", "/tree/boot", "/boot") in triples(bubblewrap_argv(SPEC._replace(boot="/tree/boot")))
    selinux = ("--ro-bind", "/sys/fs/selinux", "/sys/fs/selinux")
    assert selinux not in triples(bubblewrap_argv(SPEC))
    assert selinux in triples(bubblewrap_argv(SPEC, selinux=True))


def test_all_capabilities_are_dropped_and_then_some_given_in_a_stable_order():
    argv = bubblewrap_argv(SPEC)
    first = argv.index("--cap-drop")
    assert argv[first : first + 6] == [
        "--cap-drop",
        "ALL",
        "--cap-add",
        "CAP_AUDIT_WRITE",
        "--cap-add",
        "CAP_CHOWN",
    ]


def test_namespaces():
    argv = bubblewrap_argv(SPEC)
    assert {"--unshare-ipc", "--unshare-pid", "--unshare-net", "--die-with-parent"} <= set(argv)


def test_the_environment_is_fixed():
    assert dict(environment(None, None)) == {
        "container": "bwrap-osbuild",
        "LC_CTYPE": "C.UTF-8",
        "PATH": "/usr/sbin:/usr/bin",
        "PYTHONPATH": "/run/osbuild/lib",
        "PYTHONUNBUFFERED": "1",
        "TERM": "dumb",
    }
    assert dict(environment("xterm", 17))["SOURCE_DATE_EPOCH"] == "17"


def test_nothing_is_granted_that_we_do_not_hold():
    asked = frozenset({"CAP_MAC_ADMIN", "CAP_NO_SUCH_THING"})
    assert granted(asked) == (DEFAULT | {"CAP_MAC_ADMIN"}) & held()
    assert granted(frozenset()) <= DEFAULT
