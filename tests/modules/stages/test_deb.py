"""org.osbuild.deb, with a tiny system of packages made from this machine's own programs."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from . import debs
from .harness import Ended
from .raw import run_raw

pytestmark = pytest.mark.root

EPOCH = 1_700_000_000


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("system")
    debs.build_system(folder)
    return folder


@pytest.fixture
def packages(system: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(system, tmp_path / "packages"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "tree"
    path.mkdir()
    return path


def install(tree: Path, packages: Path, options: dict[str, object] | None = None) -> str:
    ended = attempt(tree, packages, options)
    assert ended.status == 0, ended.log
    return ended.log


def attempt(tree: Path, packages: Path, options: dict[str, object] | None = None) -> Ended:
    return run_raw("deb", tree, options or {}, files={"packages": packages}, epoch=EPOCH)


def states(tree: Path) -> dict[str, str]:
    """Return the state of each package as the tree's own dpkg tells it."""
    shown = "${Package} ${Version} ${db:Status-Status}\n"
    command = ["dpkg-query", f"--admindir={tree}/var/lib/dpkg", "-W", "-f", shown]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[0]: line.split(" ", 1)[1] for line in lines}


def snapshot(tree: Path) -> dict[str, object]:
    """Return everything about a tree but the times that the store sets back."""
    found: dict[str, object] = {}
    for path in sorted(tree.rglob("*")):
        info = path.lstat()
        content: object = None
        if path.is_symlink():
            content = path.readlink()
        elif path.is_file():
            content = path.read_bytes()
        when = min(info.st_mtime, EPOCH)
        found[str(path.relative_to(tree))] = (
            info.st_mode,
            info.st_uid,
            info.st_gid,
            info.st_rdev,
            when,
            content,
        )
    return found


def test_bootstrap_of_an_empty_tree(tree: Path, packages: Path) -> None:
    install(tree, packages)
    assert states(tree) == {"dpkg": "1.21.22 installed", "libc6": "1.0 installed"}
    assert (tree / "bin").readlink() == Path("usr/bin")
    assert (tree / "usr/bin/sh").readlink() == Path("dash")
    assert (tree / "var/preinst-ran").read_text() == "install dpkg\n"
    listing = (tree / f"var/lib/dpkg/info/libc6:{debs.NATIVE}.list").read_text()
    assert listing.startswith("/.\n")
    verified = subprocess.run(
        ["dpkg", f"--root={tree}", "--verify"], capture_output=True, text=True, check=False
    )
    assert verified.stdout == ""
    metadata = json.loads((tree.parent / "tree.metadata.json").read_text())
    assert [one["name"] for one in metadata["packages"]] == ["dpkg", "libc6"]


def test_what_is_there_before_the_bootstrap_stays(tree: Path, packages: Path) -> None:
    (tree / "etc/dpkg").mkdir(parents=True)
    (tree / "etc/dpkg/own.cfg").write_text("mine\n")
    install(tree, packages)
    assert (tree / "etc/dpkg/own.cfg").read_text() == "mine\n"


def test_same_packages_give_the_same_tree(tree: Path, packages: Path, tmp_path: Path) -> None:
    debs.build(packages, "extra", {"Depends": "dpkg"}, files={"usr/share/extra/data": "x"})
    debs.build(
        packages,
        "noisy",
        control={
            "preinst": "#!/bin/sh\n",
            "postinst": "#!/bin/sh\nset -e\nmkdir -p /var/log /var/cache/ldconfig\ndate +%N > /var/log/dpkg.log\n"
            "date +%N > /var/cache/ldconfig/aux-cache\ndate +%N > /etc/passwd-\n",
        },
    )
    other = tmp_path / "other"
    other.mkdir()
    install(tree, packages)
    install(other, packages)
    assert snapshot(tree) == snapshot(other)


def test_nothing_is_left_in_the_places_of_mounts(tree: Path, packages: Path) -> None:
    debs.build(
        packages,
        "litter",
        control={
            "postinst": "#!/bin/sh\nset -e\n[ -e /proc/self/status ]\n[ -c /dev/null ]\n[ -w /tmp ]\n"
            "touch /run/litter /tmp/litter /dev/litter\n"
        },
    )
    install(tree, packages)
    assert sorted(path.name for path in (tree / "run").iterdir()) == ["lock"]
    # These three were not in any package.
    assert not {path.name for path in tree.iterdir()} & {"tmp", "proc", "sys"}
    assert not (tree / "dev/litter").exists()
    assert stat.S_ISCHR((tree / "dev/null").stat().st_mode)
    assert str(tree) not in Path("/proc/self/mountinfo").read_text()


def test_packages_on_top_of_a_tree(tree: Path, packages: Path, tmp_path: Path) -> None:
    install(tree, packages)
    more = tmp_path / "more"
    more.mkdir()
    # In the order of their names the one that the other needs comes last.
    checks = "#!/bin/sh\ntest -e /var/z-configured\n"
    debs.build(more, "a-first", {"Pre-Depends": "z-last"}, control={"preinst": checks})
    debs.build(more, "z-last", control={"postinst": "#!/bin/sh\nset -e\ntouch /var/z-configured\n"})
    install(tree, more)
    assert states(tree)["a-first"] == "1.0 installed"
    assert states(tree)["z-last"] == "1.0 installed"
    assert not (tree / "run/packages").exists()


def test_a_newer_version_keeps_changed_configuration(tree: Path, packages: Path, tmp_path: Path) -> None:
    debs.build(packages, "conf", files={"etc/conf.ini": "old\n"}, control={"conffiles": "/etc/conf.ini\n"})
    install(tree, packages)
    (tree / "etc/conf.ini").write_text("changed\n")
    more = tmp_path / "more"
    more.mkdir()
    fields = {"Version": "2.0"}
    debs.build(
        more, "conf", fields, files={"etc/conf.ini": "new\n"}, control={"conffiles": "/etc/conf.ini\n"}
    )
    install(tree, more)
    assert states(tree)["conf"] == "2.0 installed"
    assert (tree / "etc/conf.ini").read_text() == "changed\n"


def test_triggers_of_packages_that_dpkg_did_not_unpack(tree: Path, packages: Path, tmp_path: Path) -> None:
    debs.build(
        packages,
        "watcher",
        control={
            "triggers": "interest-noawait /usr/share/watched\ninterest-noawait call\n",
            "postinst": '#!/bin/sh\nset -e\n[ "$1" != triggered ] || echo "$2" >> /var/watched\n',
        },
    )
    install(tree, packages)
    more = tmp_path / "more"
    more.mkdir()
    debs.build(more, "file", files={"usr/share/watched/one": "1"})
    debs.build(more, "caller", control={"triggers": "activate-noawait call\n"})
    install(tree, more)
    assert set((tree / "var/watched").read_text().split()) == {"/usr/share/watched", "call"}


def test_diversions_work_among_the_first_packages(tree: Path, packages: Path) -> None:
    debs.build(packages, "plain", files={"usr/share/thing": "plain\n"})
    divert = "#!/bin/sh\nset -e\ndpkg-divert --quiet --package special --divert /usr/share/thing.plain --rename --add"
    debs.build(
        packages,
        "special",
        files={"usr/share/thing": "special\n"},
        control={"preinst": f"{divert} /usr/share/thing\n"},
    )
    install(tree, packages)
    assert (tree / "usr/share/thing").read_text() == "special\n"
    assert (tree / "usr/share/thing.plain").read_text() == "plain\n"


def test_a_replacing_package_owns_the_file(tree: Path, packages: Path) -> None:
    debs.build(packages, "one", {"Replaces": "two"}, files={"usr/share/both": "one\n"})
    debs.build(packages, "two", files={"usr/share/both": "two\n", "usr/share/two": "two\n"})
    install(tree, packages)
    assert (tree / "usr/share/both").read_text() == "one\n"
    command = ["dpkg-query", f"--admindir={tree}/var/lib/dpkg", "-S", "/usr/share/both"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("one:")


def test_two_packages_with_the_same_file_are_refused(tree: Path, packages: Path) -> None:
    debs.build(packages, "one", files={"usr/share/both": "one\n"})
    debs.build(packages, "two", files={"bin/both": "two\n", "usr/share/both": "two\n"})
    ended = attempt(tree, packages)
    assert ended.status == 1
    assert "one and two both have /usr/share/both" in ended.log


def test_left_out_paths(tree: Path, packages: Path, tmp_path: Path) -> None:
    paths = ("doc/early/README", "doc/early/copyright", "man/man1/early.1")
    files = {f"usr/share/{path}": "x" for path in paths}
    debs.build(packages, "early", files=files)
    late = {path.replace("early", "late"): text for path, text in files.items()}
    debs.build(packages, "late", files=late, control={"preinst": "#!/bin/sh\n"})
    install(
        tree,
        packages,
        {
            "exclude_paths": ["/usr/share/doc/*", "/usr/share/man/*"],
            "include_paths": ["/usr/share/doc/*/copyright"],
        },
    )
    more = tmp_path / "more"
    more.mkdir()
    debs.build(more, "later", files={path.replace("early", "later"): text for path, text in files.items()})
    install(tree, more)
    left = sorted(
        str(p.relative_to(tree / "usr/share")) for p in (tree / "usr/share").rglob("*") if p.is_file()
    )
    assert left == ["doc/early/copyright", "doc/late/copyright", "doc/later/copyright"]


def test_a_kernel_comes_last(tree: Path, packages: Path) -> None:
    order = "#!/bin/sh\nset -e\necho $DPKG_MAINTSCRIPT_PACKAGE >> /var/order\n"
    for name in ("aaa", "zzz"):
        debs.build(packages, name, control={"preinst": "#!/bin/sh\n", "postinst": order})
    kernel = order + "# run-parts /etc/kernel/postinst.d\n"
    debs.build(packages, "kernel", control={"preinst": "#!/bin/sh\n", "postinst": kernel})
    meta = {"Depends": "kernel"}
    debs.build(packages, "any-kernel", meta, control={"preinst": "#!/bin/sh\n", "postinst": order})
    install(tree, packages)
    assert (tree / "var/order").read_text().split()[2:] == ["kernel", "any-kernel"]


def test_identities_are_not_shared(tree: Path, packages: Path, tmp_path: Path) -> None:
    script = (
        "#!/bin/sh\nset -e\nmkdir -p /etc/ssh /var/lib/dbus\ndate +%N > /etc/machine-id\n"
        "date > /etc/ssh/ssh_host_rsa_key\n"
    )
    debs.build(packages, "identity", control={"postinst": script})
    (tree / "etc/ssh").mkdir(parents=True)
    (tree / "etc/ssh/ssh_host_own_key").write_text("own\n")
    install(tree, packages)
    assert (tree / "etc/machine-id").read_text() == ""
    assert not (tree / "etc/ssh/ssh_host_rsa_key").exists()
    assert (tree / "etc/ssh/ssh_host_own_key").read_text() == "own\n"
    (tree / "etc/machine-id").write_text("mine\n")
    more = tmp_path / "more"
    more.mkdir()
    debs.build(more, "again", control={"postinst": script})
    install(tree, more)
    assert (tree / "etc/machine-id").read_text() == "mine\n"


def test_no_service_is_started(tree: Path, packages: Path) -> None:
    asks = "#!/bin/sh\ncode=0\n/usr/sbin/policy-rc.d x start || code=$?\necho $code > /var/policy\n"
    debs.build(packages, "service", control={"postinst": asks})
    install(tree, packages)
    assert (tree / "var/policy").read_text() == "101\n"
    assert not (tree / "usr/sbin/policy-rc.d").exists()


def test_a_policy_for_services_stays(tree: Path, packages: Path, tmp_path: Path) -> None:
    policy = tree / "usr/sbin/policy-rc.d"
    install(tree, packages)
    policy.parent.mkdir(exist_ok=True)
    policy.write_text("mine\n")
    more = tmp_path / "more"
    more.mkdir()
    debs.build(more, "any")
    install(tree, more)
    assert policy.read_text() == "mine\n"
    brought = tmp_path / "brought"
    brought.mkdir()
    debs.build(brought, "policy", files={"usr/sbin/policy-rc.d": "a package's\n"})
    install(tree, brought)
    assert policy.read_text() == "a package's\n"
    assert [path.name for path in policy.parent.iterdir()] == ["policy-rc.d"]


def test_a_failing_script_fails_the_stage(tree: Path, packages: Path) -> None:
    debs.build(packages, "broken", control={"postinst": "#!/bin/sh\necho what went wrong\nexit 7\n"})
    ended = attempt(tree, packages)
    assert ended.status == 1
    assert "what went wrong" in ended.log
    assert "Traceback" not in ended.log


def test_what_cannot_be_installed_is_said(tree: Path, packages: Path, tmp_path: Path) -> None:
    only = tmp_path / "only"
    only.mkdir()
    debs.build(only, "alone")
    assert "dpkg is not among the packages" in attempt(tree, only).log
    debs.build(only, "alone", {"Version": "2.0"})
    assert "two packages are called alone" in attempt(tree, only).log
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "sha256:00").write_text("nothing of the kind")
    ended = attempt(tree, bad)
    assert ended.status == 1
    assert "not a Debian package" in ended.log
    debs.build(packages, "loop-a", {"Pre-Depends": "loop-b"}, control={"preinst": "#!/bin/sh\n"})
    debs.build(packages, "loop-b", {"Pre-Depends": "loop-a"}, control={"preinst": "#!/bin/sh\n"})
    assert "pre-depend on each other: loop-a, loop-b" in attempt(tree, packages).log
