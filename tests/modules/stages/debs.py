"""Small Debian packages. Two of them, made from this machine's programs, are a system in which the real dpkg runs."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

# What dpkg itself wants to find, and what the scripts of the test packages use.
PROGRAMS = (
    *("cat", "chmod", "chown", "cp", "dash", "date", "diff", "dpkg", "dpkg-deb", "dpkg-divert", "dpkg-query"),
    *(
        "dpkg-split",
        "dpkg-trigger",
        "grep",
        "ldconfig",
        "ln",
        "ls",
        "mkdir",
        "mv",
        "rm",
        "sed",
        "start-stop-daemon",
    ),
    *("tar", "test", "touch", "tr"),
)
NATIVE = subprocess.run(
    ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
).stdout.strip()


def build(
    folder: Path,
    name: str,
    fields: Mapping[str, str] | None = None,
    *,
    files: Mapping[str, str | Path] | None = None,
    links: Mapping[str, str] | None = None,
    control: Mapping[str, str] | None = None,
) -> Path:
    """Build package ``name`` into ``folder``, called by its checksum as the files input does.

    ``files`` are contents, or files to copy, by path; ``control`` are further control files, scripts executable.
    """
    root = folder / f".{name}"
    (root / "DEBIAN").mkdir(parents=True)
    for path, content in (files or {}).items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copy(content, target)
        else:
            target.write_text(content)
    for path, to in (links or {}).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).symlink_to(to)
    paragraph = {
        "Package": name,
        "Version": "1.0",
        "Architecture": NATIVE,
        "Maintainer": "Nobody <nobody@example.org>",
        "Description": f"test package {name}\n with a second line",
        **(fields or {}),
    }
    (root / "DEBIAN/control").write_text("".join(f"{key}: {value}\n" for key, value in paragraph.items()))
    for script, content in (control or {}).items():
        (root / "DEBIAN" / script).write_text(content)
        if script.startswith(("pre", "post")):
            (root / "DEBIAN" / script).chmod(0o755)
    for path in (root, *root.rglob("*")):
        os.utime(path, (1_600_000_000, 1_600_000_000), follow_symlinks=False)
    package = folder / f".{name}.deb"
    command = ["dpkg-deb", "--root-owner-group", "-Zxz", "-z0", "--build", str(root), str(package)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(root)
    target = folder / f"sha256:{hashlib.sha256(package.read_bytes()).hexdigest()}"
    return package.rename(target)


def build_system(folder: Path) -> None:
    """Build the essential packages of a system that has just what dpkg and small scripts need."""
    programs = {shutil.which(name) for name in PROGRAMS} - {None}
    files: dict[str, str | Path] = {f"usr/bin/{Path(str(one)).name}": Path(str(one)) for one in programs}
    libraries = {path for one in programs for path in libraries_of(str(one))}
    build(
        folder,
        "libc6",
        {"Multi-Arch": "same"},
        files={str(path).lstrip("/"): path for path in libraries},
        control={"triggers": "activate-noawait ldconfig\n"},
    )
    build(
        folder,
        "dpkg",
        {"Essential": "yes", "Pre-Depends": "libc6", "Version": "1.21.22"},
        files={**files, "etc/dpkg/dpkg.cfg": "no-debsig\n"},
        links={"bin/sh": "dash"},
        control={
            # The script runs although the package is not unpacked by dpkg.
            "preinst": '#!/bin/sh\nset -e\necho "$1 $DPKG_MAINTSCRIPT_PACKAGE" > /var/preinst-ran\n',
            "conffiles": "/etc/dpkg/dpkg.cfg\n",
            "triggers": "interest-noawait ldconfig\n",
            "postinst": (
                "#!/bin/sh\nset -e\n"
                '[ "$1" != triggered ] || echo "$2" >> /var/triggered\n'
                "echo 'root:x:0:0:root:/root:/bin/sh' > /etc/passwd\n"
                "echo 'root:x:0:' > /etc/group\n"
            ),
        },
    )


def libraries_of(program: str) -> Iterator[Path]:
    """Yield the shared libraries that ``program`` needs, the loader too."""
    text = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for match in re.finditer(r"(/\S+) \(0x", text):
        yield Path(match.group(1))
