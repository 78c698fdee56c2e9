"""What runners call, in a sandbox whose /etc and /var are empty."""

import subprocess
from pathlib import Path

import pytest

SDK = Path(__file__).resolve().parents[3] / "osbuild_core" / "sdk"

pytestmark = pytest.mark.root


def run(script: str, etc: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    """Run a script that knows ``runners`` and ``os``, as a runner is run."""
    command = ["bwrap", "--die-with-parent", "--unshare-pid", "--ro-bind", "/usr", "/usr"]
    for name in ("bin", "lib", "lib64", "sbin"):
        command += ["--symlink", f"usr/{name}", f"/{name}"]
    command += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/var", "--bind", str(etc), "/etc"]
    command += ["--ro-bind", str(SDK), "/run/lib", "--setenv", "PYTHONPATH", "/run/lib", *more]
    start = "import os\nfrom osbuild.util import runners\n"
    return subprocess.run(
        [*command, "/usr/bin/python3", "-c", start + script], capture_output=True, text=True
    )


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    path = tmp_path / "etc"
    path.mkdir()
    return path


def test_what_runners_of_others_call_works_here(etc: Path) -> None:
    script = """
runners.ldconfig()
runners.sysusers()
with runners.create_machine_id_if_needed():
    runners.tmpfiles()
    runners.nsswitch()
    runners.sequoia()
    runners.python_alternatives()
    print(open("/etc/machine-id").read())
env = runners.quirks()
print(env["PYTHONPATH"], ("OSBUILD_QEMU_IMG_COROUTINES" in env) == (os.uname().machine == "aarch64"))
"""
    done = run(script, etc)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{'f' * 32}\n\n/run/lib True\n"
    assert (etc / "ld.so.cache").exists()
    assert not (etc / "machine-id").exists()
    assert (etc / "alternatives/python3").readlink() == Path("/usr/bin/python3.6")


def test_libraries_are_looked_for_where_the_runner_says(etc: Path) -> None:
    done = run("runners.ldconfig('/usr/lib', '/opt/lib')", etc)
    assert done.returncode == 0, done.stderr
    assert (etc / "ld.so.conf").read_text() == "/usr/lib\n/opt/lib\n"


def test_a_machine_id_goes_whatever_was_there(etc: Path) -> None:
    tree = etc / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/machine-id").write_text("1" * 32 + "\n")
    script = """
with runners.create_machine_id_if_needed(tree="/etc/tree", keep_empty=%s):
    print(open("/etc/tree/etc/machine-id").read(), end="")
print(os.path.exists("/etc/tree/etc/machine-id"))
"""
    assert run(script % False, etc).stdout == "1" * 32 + "\nFalse\n"
    assert run(script % True, etc).stdout == "f" * 32 + "\nTrue\n"
    assert (tree / "etc/machine-id").read_bytes() == b""
    assert (tree / "etc/machine-id").stat().st_mode & 0o777 == 0o444


def test_the_crypto_policy_is_put_in_place(etc: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    policy.mkdir()
    (policy / "rpm.config").write_text("default")
    place = "/usr/share/crypto-policies/back-ends/DEFAULT"
    # /usr has no such directory here, so a file system over it that has.
    over = ["--tmpfs", "/usr/share", "--ro-bind", str(policy), place]
    for _ in range(2):
        done = run("runners.sequoia()", etc, *over)
        assert done.returncode == 0, done.stderr
    assert (etc / "crypto-policies/back-ends/rpm.config").read_text() == "default"


def test_users_that_cannot_be_made_end_the_runner(etc: Path) -> None:
    if not Path("/usr/bin/systemd-sysusers").exists():
        pytest.skip("systemd-sysusers is not installed")
    done = run("runners.sysusers(); print('after')", etc, "--remount-ro", "/etc")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Read-only file system" in done.stderr
