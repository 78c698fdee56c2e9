"""Debian packages: what is in a package file, and how packages depend on each other."""

import io
import re
import subprocess
import tarfile
import zlib

_AR_MAGIC = b"!<arch>\n"
_AR_HEADER = 60
_BUFFER = 1 << 20


class DebError(ValueError):
    """A file that is not a usable Debian package."""


class Package:
    """One binary package file.

    ``name``, ``version``, ``architecture`` and ``essential`` come from its control data; ``fields`` has all
    fields in their order, folded values as they are written; ``control`` has the other control
    files: name to (content, mode, mtime).
    """

    def __init__(self, path, fields, control):
        self.path = path
        self.fields = fields
        self.control = control
        self.name = fields["Package"]
        self.version = fields["Version"]
        self.architecture = fields["Architecture"]
        self.essential = fields.get("Essential") == "yes"

    @property
    def info_name(self):
        """The first part of the names of its files in dpkg's info directory."""
        if self.fields.get("Multi-Arch") == "same":
            return "{}:{}".format(self.name, self.architecture)
        return self.name

    def relations(self, field):
        """Return ``field`` (such as ``Pre-Depends``) as a list of alternatives, each a list of package names."""
        return parse_relations(self.fields.get(field, ""))

    def names(self, field):
        """Return all names that occur in ``field``."""
        return [name for names in self.relations(field) for name in names]


def read(path):
    """Read the package file ``path``. Raises DebError for anything that is not one, OSError where it is not there."""
    fields, control = None, {}
    try:
        with tarfile.open(fileobj=io.BytesIO(_control_archive(path))) as archive:
            for member in archive:
                if not member.isfile():
                    continue
                content = archive.extractfile(member).read()
                name = member.name.rsplit("/", 1)[-1]
                if name == "control":
                    fields = parse_fields(content.decode("utf-8"))
                else:
                    control[name] = (content, member.mode & 0o7777, member.mtime)
    except (tarfile.TarError, EOFError) as error:
        raise DebError("{}: broken control archive: {}".format(path, error)) from None
    missing = [name for name in ("Package", "Version", "Architecture") if name not in (fields or {})]
    if missing:
        raise DebError("{}: no {} in its control data".format(path, ", ".join(missing)))
    return Package(path, fields, control)


def paths(path):
    """Return the paths of the files in the package ``path``, directories apart, without a slash at the front.

    Raises DebError, OSError.
    """
    with open(path, "rb") as file:
        name, size = _find(file, path, "data.tar")
        # What is read beyond the end is none of its business, so it does not get there.
        part = _Part(file, size)
        kind = {"data.tar": "", "data.tar.xz": "xz", "data.tar.gz": "gz", "data.tar.bz2": "bz2"}.get(name)
        if kind is not None:
            return _listed(path, part, kind)
    # As with control data.
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE) as process:
        found = _listed(path, process.stdout, "")
        # What is padding has to be read, too, or dpkg-deb would complain.
        while process.stdout.read(_BUFFER):
            pass
    if process.returncode != 0:
        raise DebError("{}: dpkg-deb cannot read it".format(path))
    return found


def _listed(path, stream, kind):
    """Return the paths in the tar archive that ``stream`` has, packed as ``kind`` says."""
    try:
        with tarfile.open(fileobj=stream, mode="r|" + kind, bufsize=_BUFFER) as archive:
            found = [member.name for member in archive if not member.isdir()]
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
        raise DebError("{}: broken archive of files: {}".format(path, error)) from None
    except Exception as error:
        # Only who has the module of the format knows the class of its errors.
        if type(error).__name__ != "LZMAError":
            raise
        raise DebError("{}: broken archive of files: {}".format(path, error)) from None
    return [name[2:] if name.startswith("./") else name for name in found]


class _Part:
    """Reads the next ``size`` bytes of ``file``."""

    def __init__(self, file, size):
        self._file = file
        self._left = size

    def read(self, size):
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data


def _find(file, path, prefix):
    """Go to the part of the package in ``file`` whose name begins with ``prefix``; return its name and size."""
    if file.read(len(_AR_MAGIC)) != _AR_MAGIC:
        raise DebError("{}: not a Debian package".format(path))
    while True:
        header = file.read(_AR_HEADER)
        size = header[48:58].strip()
        if header[58:] != b"`\n" or not size.isdigit():
            raise DebError("{}: no {} in it".format(path, prefix))
        name, size = header[:16].decode("ascii", "replace").rstrip(" /"), int(size)
        if name.startswith(prefix):
            return name, size
        file.seek(size + size % 2, io.SEEK_CUR)


def _control_archive(path):
    """Return the tar archive of control files, not compressed."""
    with open(path, "rb") as file:
        name, size = _find(file, path, "control.tar")
        data = file.read(size)
    return _decompress(path, name, data)


def _decompress(path, name, data):
    if name.endswith(".tar"):
        return data
    if name.endswith(".xz"):
        import lzma

        try:
            return lzma.decompress(data)
        except lzma.LZMAError as error:
            raise DebError("{}: {}: {}".format(path, name, error)) from None
    # Rare ones (zstd) are left to dpkg, which knows what it can read.
    result = subprocess.run(
        ["dpkg-deb", "--ctrl-tarfile", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    if result.returncode != 0:
        raise DebError(result.stderr.decode("utf-8", "replace").strip())
    return result.stdout


def parse_fields(text):
    """Return the fields of the first paragraph of ``text`` as a dict, continuation lines as they are written."""
    fields, last = {}, None
    for line in text.split("\n"):
        if not line.strip():
            if fields:
                break
        elif line[0] in " \t":
            if last:
                fields[last] += "\n" + line
        elif ":" in line:
            last, _, value = line.partition(":")
            fields[last] = value.strip()
    return fields


def parse_relations(text):
    """Return a relation field as a list of alternatives, each a list of names without version and architecture."""
    relations = []
    for part in text.replace("\n", " ").split(","):
        names = [re.split(r"[\s(\[:<]", one.strip(), maxsplit=1)[0] for one in part.split("|") if one.strip()]
        if names:
            relations.append(names)
    return relations


class PackageSet:
    """Packages that are installed together, and the questions about their order."""

    def __init__(self, packages):
        self.packages = {package.name: package for package in packages}
        self._providers = {}
        for package in packages:
            for name in package.names("Provides"):
                self._providers.setdefault(name, package.name)

    def choose(self, alternatives):
        """Return the first of ``alternatives`` that is in the set, by name or provided, or None."""
        for name in alternatives:
            if name in self.packages:
                return name
        for name in alternatives:
            if name in self._providers:
                return self._providers[name]
        return None

    def needs(self, name, fields):
        """Return the names in the set that package ``name`` asks for in ``fields``."""
        package = self.packages[name]
        chosen = [self.choose(group) for field in fields for group in package.relations(field)]
        return [one for one in chosen if one and one != name]

    def closure(self, names):
        """Return ``names`` and everything in the set that they depend on."""
        seen, todo = set(), list(names)
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo.extend(self.needs(name, ("Pre-Depends", "Depends")))
        return seen

    def core(self):
        """Return the names of the essential packages and of all that they need."""
        names = [name for name, package in self.packages.items() if package.essential or name == "dpkg"]
        return self.closure(names)

    def unpack_order(self, names):
        """Return ``names`` as a list of lists: each can be unpacked once what is before it is configured.

        Raises DebError where packages pre-depend on each other.
        """
        rest, batches = sorted(names), []
        while rest:
            waiting = set(rest)
            batch = [name for name in rest if not waiting & self._before(name)]
            if not batch:
                raise DebError("packages pre-depend on each other: {}".format(", ".join(rest)))
            batches.append(batch)
            rest = [name for name in rest if name not in batch]
        return batches

    def _before(self, name):
        """Return what has to be configured before ``name`` can be unpacked."""
        needed = self.closure(self.needs(name, ("Pre-Depends",)))
        return needed - {name}
