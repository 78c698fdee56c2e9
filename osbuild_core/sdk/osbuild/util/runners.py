"""What programs of a build root expect in /etc and /var, which are empty at first.

A runner calls :func:`main`, or once for a build root some of the others and then :func:`run`. Each only writes
what is not there.
"""

import contextlib
import glob
import os
import shutil
import subprocess
import sys

from osbuild.util import alternatives

_NSSWITCH = """passwd: files
group: files
shadow: files
gshadow: files
hosts: files dns
networks: files
protocols: files
services: files
ethers: files
rpc: files
"""

_PASSWD = """root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/:/sbin/nologin
"""

_GROUP = """root:x:0:
tty:x:5:
disk:x:6:
nogroup:x:65534:
"""

_MACHINE_ID = "f" * 32 + "\n"

# Where Debian keeps libraries of each architecture; its ld.so.conf.d, which would say so, is in /etc.
_LIBRARIES = "/usr/lib/*-linux-*"


def main(argv):
    """Prepare a build root, whatever distribution it has, and become the program ``argv``."""
    ldconfig()
    identity()
    nsswitch()
    accounts()
    alternatives.choose()
    sequoia()
    tmpfiles()
    run(argv)


def write(path, text, mode=0o644):
    """Write the file ``path`` unless it is there."""
    if os.path.lexists(path):
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)


def link(path, target):
    """Make the symbolic link ``path`` unless something is there."""
    if not os.path.lexists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(target, path)


def ldconfig(*folders):
    """Write the cache of the dynamic linker, where the build root has ldconfig.

    ``folders`` are those to look into beside /usr/lib and the like, by default the ones that Debian has.
    """
    if not folders:
        folders = ["/usr/local/lib"] + sorted(path for path in glob.glob(_LIBRARIES) if os.path.isdir(path))
    write("/etc/ld.so.conf", "".join(folder + "\n" for folder in folders))
    if os.path.exists("/usr/sbin/ldconfig"):
        subprocess.run(["/usr/sbin/ldconfig"], stdin=subprocess.DEVNULL, check=True)


def accounts():
    """Write users and groups: Debian's list where the build root has it, else those that every system has."""
    for name, least in (("passwd", _PASSWD), ("group", _GROUP)):
        text = least
        master = "/usr/share/base-passwd/{}.master".format(name)
        if os.path.exists(master):
            with open(master, encoding="utf-8") as file:
                text = file.read()
        write("/etc/" + name, text)
    for name in ("shadow", "gshadow"):
        write("/etc/" + name, "", 0o600)
    _quietly(["/usr/bin/systemd-sysusers"])


def nsswitch():
    """Write where names are looked up."""
    write("/etc/nsswitch.conf", _NSSWITCH)


def identity():
    """Write a machine id, which is the same everywhere, and link os-release."""
    write("/etc/machine-id", _MACHINE_ID, 0o444)
    link("/etc/os-release", "../usr/lib/os-release")


def tmpfiles():
    """Create the files and directories that packages ask for, where the build root has systemd-tmpfiles."""
    _quietly(["/usr/bin/systemd-tmpfiles", "--create", "--prefix=/etc", "--prefix=/var"])


def sysusers():
    """Create the users and groups that packages ask for, where the build root has systemd-sysusers.

    Exits with status 1 where that fails.
    """
    if not os.path.exists("/usr/bin/systemd-sysusers"):
        return
    done = subprocess.run(
        ["/usr/bin/systemd-sysusers"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout.decode(errors="replace"))
        sys.exit(1)


@contextlib.contextmanager
def create_machine_id_if_needed(tree="", keep_empty=False):
    """Have a machine id in ``tree``, the same everywhere, as long as this lasts; there is none afterwards.

    With ``keep_empty`` an empty file stays, which systemd fills when the system boots for the first time.
    """
    path = tree + "/etc/machine-id"
    write(path, _MACHINE_ID, 0o444)
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        if keep_empty:
            write(path, "", 0o444)


def python_alternatives():
    """Link /etc/alternatives/python3, which is what /usr/bin/python3 is on RHEL 8."""
    link("/etc/alternatives/python3", "/usr/bin/python3.6")


def sequoia():
    """Put the default crypto policy in place, where the build root has one: rpm refuses older signatures without."""
    source, target = "/usr/share/crypto-policies/back-ends/DEFAULT", "/etc/crypto-policies/back-ends"
    if os.path.isdir(source) and not os.path.lexists(target):
        shutil.copytree(source, target)


def quirks():
    """Return the environment for the stage, with what works around faults of programs on this machine."""
    variables = dict(os.environ)
    if os.uname().machine == "aarch64":
        # qemu-img may hang there with more than one of them (https://bugs.launchpad.net/qemu/+bug/1805256).
        variables["OSBUILD_QEMU_IMG_COROUTINES"] = "1"
    return variables


def _quietly(argv):
    # Some entries are for places that a build root does not have or must not change, so failing is normal, and
    # what the program says about it would be in the log of every stage.
    if os.path.exists(argv[0]):
        null = subprocess.DEVNULL
        subprocess.run(argv, stdin=null, stdout=null, stderr=null, check=False)


def run(argv):
    """Become the program ``argv``, so that its exit status is ours. Exits with status 127 where there is none."""
    sys.stdout.flush()
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        print("cannot run {}: {}".format(argv[0], error.strerror), file=sys.stderr)
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
