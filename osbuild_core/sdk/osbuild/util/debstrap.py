"""The first Debian packages of an empty tree.

They are extracted side by side and entered in dpkg's database as unpacked. That is the state in which dpkg itself
would leave them, without its one-by-one; to configure them is left to the tree's own dpkg.
"""

import concurrent.futures
import contextlib
import hashlib
import os
import re
import stat
import subprocess

from osbuild.util.deb import DebError

ADMIN = "var/lib/dpkg"

# Top-level directories that are links into /usr, as Debian has them from release 12 on.
_MERGED = re.compile(r"(bin|sbin|lib(32|64|x32|o32)?)$")

_NODES = (
    ("console", 5, 1, 0o600),
    ("full", 1, 7, 0o666),
    ("null", 1, 3, 0o666),
    ("ptmx", 5, 2, 0o666),
    ("random", 1, 8, 0o666),
    ("tty", 5, 0, 0o666),
    ("urandom", 1, 9, 0o666),
    ("zero", 1, 5, 0o666),
)


class Entry:
    """A member of a package's data archive: ``kind`` as in ls(1), mode, (uid, gid), mtime, path without ``./``."""

    __slots__ = ("kind", "mode", "mtime", "owner", "path")

    def __init__(self, line):
        """``line`` is what ``tar -vv --full-time --numeric-owner --quoting-style=c`` prints, in UTC."""
        kind_mode, owner, _size, date, time, name = line.split(None, 5)
        self.kind = kind_mode[0]
        self.mode = _mode(kind_mode[1:10])
        self.owner = [int(part) for part in owner.split("/")]
        self.mtime = (date, time)
        self.path = os.path.normpath(_unquote(name))


def _mode(text):
    """Return the number for ``rwxr-xr-x`` and the like."""
    bits = 0
    for place, letter in enumerate(text):
        if letter not in "-ST":
            bits |= 0o400 >> place
    for place, special in ((2, stat.S_ISUID), (5, stat.S_ISGID), (8, stat.S_ISVTX)):
        if text[place] in "sStT":
            bits |= special
    return bits


def _unquote(text):
    """Return the C string literal that ``text`` starts with."""
    literal = re.match(r'"((?:[^"\\]|\\.)*)"', text).group(1)
    if "\\" in literal:
        literal = os.fsdecode(literal.encode("ascii").decode("unicode_escape").encode("latin-1"))
    return literal


def _timestamp(date_time):
    import calendar

    date, time = date_time
    fields = [int(part) for part in date.split("-") + time.partition(".")[0].split(":")]
    return calendar.timegm(tuple(fields + [0, 0, 0]))


def bootstrap(tree, packages):
    """Extract ``packages`` (a list of deb.Package) into the empty ``tree`` and enter them in its package database.

    Raises DebError for a package that cannot be extracted and for two that have the same file.
    """
    packages = sorted(packages, key=lambda package: package.name)
    merged = _merge_usr(tree)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        # The big ones first, so that none of them is alone at the end.
        by_size = sorted(packages, key=lambda package: -os.path.getsize(package.path))
        running = {package.name: pool.submit(_extract, tree, package) for package in by_size}
        contents = {package.name: running[package.name].result() for package in packages}
    for link in merged:
        _drop_unused(tree, link)
    _settle_overlaps(tree, packages, contents)
    _write_database(tree, packages, contents)
    _set_directories(tree, packages, contents)


def _merge_usr(tree):
    merged = ["bin", "lib", "lib32", "lib64", "libo32", "libx32", "sbin"]
    for name in merged:
        os.makedirs(os.path.join(tree, "usr", name), exist_ok=True)
        os.symlink("usr/" + name, os.path.join(tree, name))
    return merged


def _drop_unused(tree, name):
    with contextlib.suppress(OSError):
        os.rmdir(os.path.join(tree, "usr", name))
        os.unlink(os.path.join(tree, name))


def _extract(tree, package):
    """Extract the data of one package and return its entries, in order."""
    env = dict(os.environ, LC_ALL="C", TZ="UTC")
    reader = ["dpkg-deb", "--fsys-tarfile", package.path]
    # An existing directory stays as it is, whoever comes first; _set_directories decides, in order.
    writer = [
        "tar",
        "-x",
        "-vv",
        "-p",
        "-f",
        "-",
        "-C",
        tree,
        "--same-owner",
        "--numeric-owner",
        "--full-time",
    ]
    writer += [
        "--keep-directory-symlink",
        "--no-overwrite-dir",
        "--quoting-style=c",
        "--warning=no-timestamp",
    ]
    with subprocess.Popen(reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as source:
        done = subprocess.run(
            writer, stdin=source.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
        )
        source.stdout.close()
        complaint = source.stderr.read() + done.stderr
    if source.returncode != 0 or done.returncode != 0:
        raise DebError(
            "cannot extract {}: {}".format(package.name, complaint.decode("utf-8", "replace").strip())
        )
    return [Entry(line) for line in done.stdout.decode("ascii").splitlines()]


def _settle_overlaps(tree, packages, contents):
    """Let one package own each file, as dpkg does where one of them replaces the other."""
    owner, again = {}, {}
    by_name = {package.name: package for package in packages}
    for package in packages:
        for entry in contents[package.name]:
            if entry.kind == "d":
                continue
            top = entry.path.partition("/")[0]
            path = "usr/" + entry.path if _MERGED.match(top) else entry.path
            other = owner.setdefault(path, package.name)
            if other == package.name:
                continue
            winner, loser = package.name, other
            if other not in package.names("Replaces"):
                winner, loser = other, package.name
                if package.name not in by_name[other].names("Replaces"):
                    raise DebError("{} and {} both have /{}".format(other, package.name, path))
            owner[path] = winner
            again[winner] = by_name[winner]
            contents[loser] = [one for one in contents[loser] if one.path != entry.path]
    for name in sorted(again):
        _extract(tree, again[name])


def _write_database(tree, packages, contents):
    admin = os.path.join(tree, ADMIN)
    for name in ("alternatives", "info", "parts", "triggers", "updates"):
        os.makedirs(os.path.join(admin, name), exist_ok=True)
    for name in ("available", "diversions", "statoverride"):
        _write(os.path.join(admin, name), "")
    _write(os.path.join(admin, "info/format"), "1\n")
    status = []
    for package in packages:
        entries = contents[package.name]
        names = ["/."] + ["/" + entry.path for entry in entries if entry.path != "."]
        start = os.path.join(admin, "info", package.info_name + ".")
        _write(start + "list", "".join(name + "\n" for name in names))
        for name, (content, mode, mtime) in package.control.items():
            with open(start + name, "wb") as file:
                file.write(content)
                os.fchmod(file.fileno(), mode)
            os.utime(start + name, (mtime, mtime))
        if "md5sums" not in package.control:
            _write(start + "md5sums", _digests(tree, entries))
        status.append(_status(tree, package))
    _write(os.path.join(admin, "status"), "\n".join(status))
    _write_triggers(os.path.join(admin, "triggers"), packages)


def _digests(tree, entries):
    files = sorted(entry.path for entry in entries if entry.kind == "-")
    return "".join("{}  {}\n".format(_md5(os.path.join(tree, path)), path) for path in files)


def _md5(path):
    with open(path, "rb") as file:
        return hashlib.md5(file.read()).hexdigest()


def _status(tree, package):
    """Return the paragraph of the status file for an unpacked package."""
    lines = []
    for name, value in package.fields.items():
        # A folded value starts on the next line, with no blank before it.
        lines.append("{}:{}{}\n".format(name, "" if value.startswith("\n") else " ", value))
        if name == "Package":
            lines.append("Status: install ok unpacked\n")
    conffiles = package.control.get("conffiles", (b"", 0, 0))[0].decode("utf-8").split("\n")
    present = [line for line in conffiles if line.startswith("/")]
    if present:
        lines.append("Conffiles:\n")
        lines += [" {} {}\n".format(path, _md5(os.path.join(tree, path.lstrip("/")))) for path in present]
    return "".join(lines)


def _write_triggers(folder, packages):
    """Register which package wants to be told about what."""
    interests = {}
    for package in packages:
        text = package.control.get("triggers", (b"", 0, 0))[0].decode("utf-8")
        for line in text.split("\n"):
            words = line.partition("#")[0].split()
            if len(words) == 2 and words[0] in ("interest", "interest-await", "interest-noawait"):
                mark = "/noawait" if words[0].endswith("-noawait") else ""
                interests.setdefault(words[1], []).append(package.info_name + mark)
    by_path = []
    for name, interested in sorted(interests.items()):
        if name.startswith("/"):
            by_path += ["{} {}\n".format(name, one) for one in interested]
        else:
            _write(os.path.join(folder, name), "".join(one + "\n" for one in interested))
    _write(os.path.join(folder, "File"), "".join(by_path))
    _write(os.path.join(folder, "Unincorp"), "")


def _set_directories(tree, packages, contents):
    """Give each directory what the first package that has it says."""
    done = set()
    for package in packages:
        for entry in contents[package.name]:
            path = os.path.join(tree, entry.path)
            if entry.kind != "d" or entry.path in done or os.path.islink(path):
                continue
            done.add(entry.path)
            os.chown(path, entry.owner[0], entry.owner[1])
            os.chmod(path, entry.mode)
            seconds = _timestamp(entry.mtime)
            os.utime(path, (seconds, seconds))


def complete(tree):
    """Add what programs expect in ``/dev`` and ``/run`` of a tree in which nobody mounts anything there.

    Returns whether device nodes could be made; in a user namespace they cannot.
    """
    dev = os.path.join(tree, "dev")
    for place, mode in (("run/lock", 0o1777), ("dev/pts", 0o755), ("dev/shm", 0o1777)):
        path = os.path.join(tree, place)
        if not os.path.isdir(path):
            os.makedirs(path)
            os.chmod(path, mode)
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        if not os.path.lexists(os.path.join(dev, name)):
            os.symlink("/proc/self/" + target, os.path.join(dev, name))
    try:
        for name, major, minor, mode in _NODES:
            path = os.path.join(dev, name)
            if not os.path.lexists(path):
                os.mknod(path, stat.S_IFCHR | mode, os.makedev(major, minor))
                os.chmod(path, mode)
    except PermissionError:
        return False
    return True


def _write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
