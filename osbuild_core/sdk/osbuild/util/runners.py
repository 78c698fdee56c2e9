"""What programs of a build root expect in /etc and /var, which are empty at first.

A runner calls these once for a build root and then :func:`run`. Each only writes what is not there.
"""

import glob
import os
import subprocess
import sys

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

# Where Debian keeps libraries of each architecture; its ld.so.conf.d, which would say so, is in /etc.
_LIBRARIES = "/usr/lib/*-linux-*"


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


def ldconfig():
    """Write the cache of the dynamic linker, where the build root has ldconfig."""
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
    write("/etc/machine-id", "f" * 32 + "\n", 0o444)
    link("/etc/os-release", "../usr/lib/os-release")


def tmpfiles():
    """Create the files and directories that packages ask for, where the build root has systemd-tmpfiles."""
    _quietly(["/usr/bin/systemd-tmpfiles", "--create", "--prefix=/etc", "--prefix=/var"])


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
