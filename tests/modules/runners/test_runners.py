"""The runners, in a sandbox like the engine's: /usr of this machine, /etc and /var empty."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from osbuild_core.catalog import Library
from osbuild_core.engine.buildroot import keeps

ROOT = Path(__file__).resolve().parents[3]
RUNNERS = ("org.osbuild.linux", "org.osbuild.rhel81")
"""Those that are files of their own."""

NAMES = """
    AutoSD9 almalinux8 almalinux9 arch asahi-fedora-remix autosd centos8 centos9 debian eln11 fedora-asahi-remix
    fedora30 fedora38 linux ol9 rhel7 rhel81 rhel82 rhivos ubuntu1804
""".split()

pytestmark = pytest.mark.root


def run(runner: str, folder: Path, *argv: str, usr: Path = Path("/usr")) -> subprocess.CompletedProcess[str]:
    """Run ``argv`` through ``runner``; ``folder`` keeps /etc and /var."""
    command = ["bwrap", "--die-with-parent", "--unshare-pid", "--unshare-net", "--unshare-ipc"]
    for name in ("bin", "sbin", "lib", "lib64"):
        command += ["--symlink", f"usr/{name}", f"/{name}"]
    command += [
        "--ro-bind",
        str(usr),
        "/usr",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--tmpfs",
        "/run",
        "--tmpfs",
        "/tmp",
    ]
    for name in ("etc", "var"):
        (folder / name).mkdir(exist_ok=True)
        command += ["--bind", str(folder / name), f"/{name}"]
    command += ["--ro-bind", str(ROOT / "osbuild_core/sdk"), "/run/osbuild/lib"]
    command += ["--ro-bind", str(ROOT / "runners" / runner), f"/run/osbuild/runner/{runner}"]
    command += ["--", f"/run/osbuild/runner/{runner}", *argv]
    environment = {
        "PATH": "/usr/sbin:/usr/bin",
        "PYTHONPATH": "/run/osbuild/lib",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("name", NAMES)
def test_manifests_find_it_by_its_name(name: str) -> None:
    found = Library(ROOT).runner(f"org.osbuild.{name}")
    assert found is not None
    assert found.name == f"org.osbuild.{name}"
    assert keeps(found)


def test_a_name_for_another_is_a_link_in_the_same_folder() -> None:
    links = [path for path in (ROOT / "runners").iterdir() if path.is_symlink()]
    assert {str(path.readlink()) for path in links} == set(RUNNERS)
    assert {path.name for path in (ROOT / "runners").glob("org.*") if not path.is_symlink()} == set(RUNNERS)


@pytest.mark.parametrize("runner", RUNNERS)
def test_names_libraries_and_lookups_work(runner: str, tmp_path: Path) -> None:
    script = "id -un; getent passwd root; ldconfig -p | grep -c libc.so; cat /etc/os-release"
    done = run(runner, tmp_path, "/usr/bin/sh", "-c", script)
    assert done.returncode == 0, done.stderr
    name, root, libraries, *release = done.stdout.splitlines()
    assert name == "root"
    assert root.startswith("root:")
    assert int(libraries) > 0
    assert any(line.startswith("ID=") for line in release)
    assert (tmp_path / "etc/nsswitch.conf").is_file()
    assert (tmp_path / "etc/machine-id").read_text() == "f" * 32 + "\n"


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_exit_status_is_the_programs(runner: str, tmp_path: Path) -> None:
    assert run(runner, tmp_path, "/usr/bin/sh", "-c", "exit 7").returncode == 7
    missing = run(runner, tmp_path, "/usr/bin/there-is-none")
    assert missing.returncode == 127
    assert "cannot run /usr/bin/there-is-none" in missing.stderr


@pytest.mark.parametrize("runner", RUNNERS)
def test_its_output_is_the_programs(runner: str, tmp_path: Path) -> None:
    done = run(runner, tmp_path, "/usr/bin/echo", "only this")
    assert (done.stdout, done.stderr) == ("only this\n", "")


@pytest.mark.parametrize("runner", RUNNERS)
def test_what_is_there_stays(runner: str, tmp_path: Path) -> None:
    run(runner, tmp_path, "/usr/bin/true")
    (tmp_path / "etc/nsswitch.conf").write_text("passwd: files\n")
    assert run(runner, tmp_path, "/usr/bin/true").returncode == 0
    assert (tmp_path / "etc/nsswitch.conf").read_text() == "passwd: files\n"


@pytest.mark.skipif(not Path("/usr/bin/awk").is_symlink(), reason="awk is not an alternative here")
def test_alternatives_lead_somewhere(tmp_path: Path) -> None:
    done = run("org.osbuild.debian", tmp_path, "/usr/bin/awk", "BEGIN { print 6 * 7 }")
    assert done.stdout == "42\n", done.stderr
    links = list((tmp_path / "etc/alternatives").iterdir())
    assert links
    assert all(Path(link.readlink()).exists() for link in links)


def small_usr(folder: Path, *programs: str) -> Path:
    """Make a /usr with Python and ``programs``, and nothing that they do not need."""
    usr = folder / "usr"
    for name in ("bin", "sbin", "lib64", "lib"):
        (usr / name).mkdir(parents=True)
    for program in ("/usr/bin/python3", *programs):
        copy(Path(program).resolve(), usr / "bin" / Path(program).name)
        for path in libraries_of(program):
            copy(path, usr / str(path).removeprefix("/usr").lstrip("/"))
    version = subprocess.run(
        ["/usr/bin/python3", "-c", "import os; print(os.path.dirname(os.__file__))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    subprocess.run(["cp", "-a", version, str(usr / "lib")], check=True)
    return usr


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())
    target.chmod(0o755)


def libraries_of(program: str) -> list[Path]:
    text = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return [Path(word) for line in text.splitlines() for word in line.split() if word.startswith("/")]


def test_a_build_tree_that_has_little(tmp_path: Path) -> None:
    """Neither ldconfig, nor systemd, nor Debian's list of users, and one alternative that nothing provides."""
    usr = small_usr(tmp_path, "/usr/bin/true")
    (usr / "bin/gone").symlink_to("/etc/alternatives/gone")
    (usr / "bin/tool").symlink_to("/etc/alternatives/tool")
    (usr / "bin/tool.real").symlink_to("true")
    done = run("org.osbuild.linux", tmp_path, "/usr/bin/tool", usr=usr)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "etc/alternatives/tool").readlink() == Path("/usr/bin/tool.real")
    assert not (tmp_path / "etc/alternatives/gone").is_symlink()
    assert "nobody" in (tmp_path / "etc/passwd").read_text()


def rhel_usr(folder: Path) -> Path:
    """Make a /usr as RHEL 8 has it: its own programs run on platform-python, python3 is an alternative."""
    usr = small_usr(folder, "/bin/sh")
    (usr / "bin/python3").rename(usr / "bin/python3.6")
    (usr / "bin/python3.11").write_text("not this one")
    (usr / "bin/python3").symlink_to("/etc/alternatives/python3")
    (usr / "libexec").mkdir()
    (usr / "libexec/platform-python").symlink_to("../bin/python3.6")
    return usr


def test_python_is_an_alternative_on_rhel_8(tmp_path: Path) -> None:
    usr = rhel_usr(tmp_path)
    done = run("org.osbuild.centos8", tmp_path, "/usr/bin/python3", "-c", "print(6 * 7)", usr=usr)
    assert done.stdout == "42\n", done.stderr
    assert (tmp_path / "etc/alternatives/python3").readlink() == Path("/usr/bin/python3.6")


def test_a_later_release_needs_no_platform_python(tmp_path: Path) -> None:
    usr = rhel_usr(tmp_path)
    (usr / "libexec/platform-python").unlink()
    (usr / "bin/python3").unlink()
    os.link(usr / "bin/python3.6", usr / "bin/python3")
    done = run("org.osbuild.rhel82", tmp_path, "/usr/bin/python3", "-c", "print(6 * 7)", usr=usr)
    assert done.stdout == "42\n", done.stderr


def test_a_tree_without_python_is_told(tmp_path: Path) -> None:
    usr = rhel_usr(tmp_path)
    (usr / "libexec/platform-python").unlink()
    done = run("org.osbuild.rhel82", tmp_path, "/usr/bin/true", usr=usr)
    assert done.returncode == 1
    assert "has no Python 3: add the package" in done.stderr
