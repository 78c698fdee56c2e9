"""Metadata of RPM repositories (rpm-md) as text: files that may be packed, and the entries of packages in them.

An entry is taken as it is, so that what a repository says of a package can be said by another one. Nothing of it is
built into objects: it is text to be cut out, checked and written.
"""

import re

PRIMARY, FILELISTS, OTHER = "primary", "filelists", "other"
KINDS = (PRIMARY, FILELISTS, OTHER)
"""The files that have an entry for each package."""

BLOCK = 1 << 20

_LONGEST = 256 << 20

# What the documents begin with, as createrepo_c writes it.
_HEADS = {
    PRIMARY: b'<?xml version="1.0" encoding="UTF-8"?>\n<metadata xmlns="http://linux.duke.edu/metadata/common"'
    b' xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="%d">\n',
    FILELISTS: b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<filelists xmlns="http://linux.duke.edu/metadata/filelists" packages="%d">\n',
    OTHER: b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<otherdata xmlns="http://linux.duke.edu/metadata/other" packages="%d">\n',
}
_TAILS = {PRIMARY: b"</metadata>", FILELISTS: b"</filelists>", OTHER: b"</otherdata>"}
_NAMESPACES = {
    PRIMARY: (
        b'xmlns="http://linux.duke.edu/metadata/common"',
        b'xmlns:rpm="http://linux.duke.edu/metadata/rpm"',
    ),
    FILELISTS: (b'xmlns="http://linux.duke.edu/metadata/filelists"',),
    OTHER: (b'xmlns="http://linux.duke.edu/metadata/other"',),
}

_END = b"</package>"
_START = re.compile(rb"<package[\s/>]")
_ID = re.compile(rb'<checksum type="sha256" pkgid="YES">([0-9a-f]{64})</checksum>')
_LISTED_ID = re.compile(rb'<package pkgid="([0-9a-f]{64})" ')
_LOCATION = re.compile(rb"<location [^<>]*/>")
_HREF = re.compile(rb' href="([^"<>]*)"')
_TIME = re.compile(rb'<time file="[0-9]+"( build="[0-9]+"/>)')
_SIZE = re.compile(rb'(<size package=")([0-9]+)"')
_CHANGELOG = b"<changelog "


class MetadataError(Exception):
    """A file of metadata that cannot be used; the text says why."""


def blocks(path):
    """Yield the content of the file ``path`` in blocks, unpacked if it is packed by gzip, xz, bzip2 or zstd.

    How it is packed is seen from its first bytes. Raises MetadataError where it is broken, or where there is no
    program for zstd.
    """
    with open(path, "rb") as file:
        magic = file.read(6)
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        yield from _zstd_blocks(path)
        return
    if magic.startswith(b"\x1f\x8b"):
        from gzip import open as opener
    elif magic == b"\xfd7zXZ\0":
        from lzma import open as opener
    elif magic.startswith(b"BZh"):
        from bz2 import open as opener
    else:
        opener = open
    with opener(path, "rb") as file:
        try:
            while True:
                block = file.read(BLOCK)
                if not block:
                    return
                yield block
        except Exception as error:  # each of the modules has classes of its own, and no common one
            raise MetadataError("it cannot be unpacked: {}".format(error)) from None


def _zstd_blocks(path):
    import subprocess

    command = ["zstd", "--quiet", "--decompress", "--stdout", "--", path]
    try:
        program = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except FileNotFoundError:
        raise MetadataError("there is no zstd program to unpack it") from None
    with program:
        try:
            while True:
                block = program.stdout.read(BLOCK)
                if not block:
                    break
                yield block
        except BaseException:
            program.kill()
            raise
        said = program.stderr.read().decode("utf-8", "replace").strip()
    if program.returncode != 0:
        raise MetadataError("it cannot be unpacked: {}".format(said or "zstd failed"))


def entries(path, kind):
    """Yield the entries of the file ``path`` of that ``kind``: the text of an element ``package`` each.

    Raises MetadataError for a file that has others, or that ends in the middle.
    """
    rest, begun = b"", False
    for block in blocks(path):
        rest += block
        start = None if begun else _START.search(rest)
        if start is not None:
            _check_head(rest[: start.start()], kind)
            rest, begun = rest[start.start() :], True
        if begun:
            pieces = rest.split(_END)
            rest = pieces.pop()
            for piece in pieces:
                yield piece.lstrip() + _END
        if len(rest) > _LONGEST:
            raise MetadataError("it has an entry of more than {} bytes".format(_LONGEST))
    if not begun:
        _check_head(rest, kind)
    if not rest.rstrip().endswith(_TAILS[kind] if begun else (_TAILS[kind], b"/>")):
        raise MetadataError("it ends in the middle")


def _check_head(head, kind):
    if any(namespace not in head for namespace in _NAMESPACES[kind]) or b"<!" in head:
        raise MetadataError("it does not begin as {} does".format(kind))


def package_id(entry, kind):
    """Return the SHA-256 (hexadecimal) of the package that an entry is about, None where it has another one."""
    found = _ID.search(entry) if kind == PRIMARY else _LISTED_ID.match(entry)
    return found and found.group(1).decode("ascii")


def is_sound(entry, kind):
    """Tell whether an entry is one element, as XML has them, that can stand in a document of ours."""
    from xml.parsers import expat

    if b"<!" in entry or b"<?" in entry or len(_START.findall(entry)) != 1 or not _START.match(entry):
        return False
    parser = expat.ParserCreate("UTF-8", " ")
    try:
        parser.Parse(_HEADS[kind], False)
        parser.Parse(entry, False)
        parser.Parse(_TAILS[kind], True)
    except expat.ExpatError:
        return False
    return True


def size_of(entry):
    """Return the size in bytes of the package file that an entry of primary.xml says, None where it says none."""
    found = _SIZE.findall(entry)
    return int(found[0][1]) if len(found) == 1 else None


def location_of(entry):
    """Return the location in an entry of primary.xml as text with XML's escapes in it."""
    return _HREF.search(_LOCATION.search(entry).group()).group(1).decode("utf-8")


def placed(entry, place, timestamp):
    """Return an entry of primary.xml with another location and another time of the file, in seconds since 1970.

    None where it cannot be seen where those are.
    """
    where = '<location href="{}"/>'.format(escaped(place)).encode("utf-8")
    entry, locations = _LOCATION.subn(lambda _: where, entry)
    stamp = '<time file="{}"'.format(timestamp).encode("ascii")
    entry, times = _TIME.subn(lambda found: stamp + found.group(1), entry)
    return entry if (locations, times) == (1, 1) else None


def escaped(text):
    """Return ``text`` as the value of an attribute."""
    for character, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(character, name)
    return text


def sized(entry, size):
    """Return an entry of primary.xml with another size in bytes of the package file."""
    return _SIZE.sub(lambda found: found.group(1) + '{}"'.format(size).encode("ascii"), entry, 1)


def with_changes(entry, limit):
    """Return an entry of other.xml with its last ``limit`` changes, which are the newest."""
    head, *changes = entry.split(_CHANGELOG)
    if len(changes) <= limit:
        return entry
    if limit == 0:
        return head.rstrip() + b"\n" + _END
    return _CHANGELOG.join([head, *changes[-limit:]])


def document(kind, count, found):
    """Yield the document of that ``kind`` with the entries ``found``, of which there are ``count``, in blocks."""
    block, size = [_HEADS[kind] % count], 0
    for entry in found:
        block += (entry, b"\n")
        size += len(entry)
        if size > BLOCK:
            yield b"".join(block)
            block, size = [], 0
    block.append(_TAILS[kind])
    yield b"".join(block)
