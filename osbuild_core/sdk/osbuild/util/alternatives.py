"""Programs that stand for others by way of ``/etc/alternatives``, which a build root has to get anew.

The choice of the build tree is in its ``/etc`` and ``/var``, and neither is to be seen from a sandbox.
"""

import os
import re

_LINKS = "/etc/alternatives"
_FOLDERS = ("/usr/bin", "/usr/sbin")

# Which program stands for another, best first, where the name does not tell.
_PROVIDERS = {
    "arptables": ("arptables-nft", "arptables-legacy"),
    "awk": ("gawk", "mawk", "original-awk", "busybox"),
    "c++": ("g++", "clang++"),
    "c89": ("c89-gcc",),
    "c99": ("c99-gcc",),
    "cc": ("gcc", "clang", "tcc"),
    "ebtables": ("ebtables-nft", "ebtables-legacy"),
    "editor": ("nano", "vim.basic", "vim.tiny", "nvi"),
    "ex": ("vim.basic", "vim.tiny", "nex"),
    "ip6tables": ("ip6tables-nft", "ip6tables-legacy"),
    "iptables": ("iptables-nft", "iptables-legacy"),
    "lzma": ("xz",),
    "mkisofs": ("genisoimage", "xorrisofs"),
    "nawk": ("gawk", "mawk", "original-awk"),
    "nc": ("nc.openbsd", "nc.traditional", "ncat"),
    "nodejs": ("node",),
    "pager": ("less", "more"),
    "python": (),
    "rmt": ("rmt-tar", "rmt-cpio"),
    "unlzma": ("xz",),
    "vi": ("vim.basic", "vim.tiny", "nvi"),
    "view": ("vim.basic", "vim.tiny", "nview"),
}

_PYTHON = re.compile(r"python3\.([0-9]+)$")


def choose():
    """Link what programs of the build root look for in /etc/alternatives, where it has something to stand for it."""
    for folder in _FOLDERS:
        if not os.path.isdir(folder):
            continue
        links, programs = _entries(folder)
        for name, target in sorted(links):
            provider = find_provider(name, programs)
            if provider and not os.path.lexists(target):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.symlink(os.path.join(folder, provider), target)


def find_provider(name, programs):
    """Return which of ``programs`` the alternative ``name`` stands for, or None.

    ``programs`` are the names in its folder that are not alternatives themselves.
    """
    return next((candidate for candidate in _candidates(name, programs) if candidate in programs), None)


def _candidates(name, programs):
    if name in _PROVIDERS:
        return _PROVIDERS[name]
    if name == "python3":
        # The oldest is the one that the distribution's own programs are made for.
        return sorted(filter(_PYTHON.match, programs), key=lambda one: int(_PYTHON.match(one).group(1)))
    candidates = sorted(one for one in programs if one.startswith((name + ".", name + "-")))
    # xz does the work of the older lzma: lzcat is xzcat.
    return ["xz" + name[2:]] + candidates if name.startswith("lz") else candidates


def _entries(folder):
    """Return the (name, target) pairs of the links to alternatives in ``folder``, and the names of all else."""
    links, programs = [], set()
    with os.scandir(folder) as entries:
        for entry in entries:
            target = os.readlink(entry.path) if entry.is_symlink() else ""
            if target.startswith(_LINKS + "/"):
                links.append((entry.name, target))
            else:
                programs.add(entry.name)
    return links, programs
