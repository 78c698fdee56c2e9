"""LVM2's metadata on a disk, read and written without the kernel, which knows a volume group's name only once.

The layout is that of LVM2's text format: a label in one of the first sectors, the header of the physical volume
behind it, and areas with the metadata as text, each with a header of its own.
"""

import re
import struct
import zlib
from collections import OrderedDict

_SECTOR = 512
_LABEL = struct.Struct("<8sQII8s")  # LABELONE, its sector, checksum, where the header of the volume is, type
_VOLUME = struct.Struct("<32sQ")  # id, size of the device
_AREA = struct.Struct("<QQ")  # offset, size
_HEADER = struct.Struct("<I16sIQQ")  # checksum, magic, version, offset of the area, its size
_TEXT = struct.Struct("<QQII")  # offset in the area, size, checksum, flags
_HEADER_SIZE = 512
_MAGIC = b" LVM2 x[5A%r0N*>"
_FIRST = 0xF597A6CF


def _checksum(data):
    # The common CRC-32, from another beginning and not inverted at the end.
    return zlib.crc32(data, _FIRST ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


class Metadata:
    """The description of a volume group: ``data`` is a dict whose first member is the group, by its name."""

    def __init__(self, vg_name, data):
        self._vg_name = vg_name
        self.data = data

    @property
    def vg_name(self):
        return self._vg_name

    @vg_name.setter
    def vg_name(self, name):
        self.rename_vg(name)

    def rename_vg(self, new_name):
        items = [(new_name if key == self._vg_name else key, value) for key, value in self.data.items()]
        self.data = OrderedDict(items)
        self._vg_name = new_name

    @classmethod
    def decode(cls, data):
        """Read the bytes ``data``. Raises ValueError."""
        tokens = _tokens(data.decode("utf-8").rstrip("\0"))
        tree = _section(tokens, None)
        for name, value in tree.items():
            if isinstance(value, dict):
                return cls(name, tree)
        raise ValueError("there is no volume group in the metadata")

    def encode(self):
        """Return the metadata as bytes."""
        return ("\n".join(_lines(self.data)) + "\n\0").encode("utf-8")


class Disk:
    """A physical volume, an open file or device. A context manager; :meth:`flush_metadata` writes what was changed.

    Raises RuntimeError where it is no physical volume of a volume group, ValueError where its metadata is broken.
    """

    def __init__(self, fp, path):
        self.fp = fp
        self.path = path
        try:
            self._headers = [self._header(place) for place in self._areas()]
            if not self._headers:
                raise RuntimeError("{} has no LVM metadata".format(path))
            self.metadata = Metadata.decode(self._text(*self._headers[0]))
        except BaseException:
            fp.close()
            raise

    @classmethod
    def open(cls, path, *, read_only=False):
        """Open the file or device at ``path``. Raises OSError, and what the class does."""
        return cls(open(path, "rb" if read_only else "r+b"), path)

    def rename_vg(self, new_name):
        self.metadata.rename_vg(new_name)

    def set_description(self, desc):
        self.metadata.data["description"] = desc

    def set_creation_time(self, t):
        self.metadata.data["creation_time"] = int(t)

    def set_creation_host(self, host):
        self.metadata.data["creation_host"] = host

    def flush_metadata(self):
        """Write the metadata in place of the old one. Raises OSError, ValueError where there is no room for it."""
        data = self.metadata.encode()
        for start, size, texts in self._headers:
            if len(data) > size - _HEADER_SIZE:
                raise ValueError("the metadata of {} bytes does not fit onto {}".format(len(data), self.path))
            self._write_text(start, size, texts[0], data)
            texts[0] = (texts[0][0], len(data), _checksum(data), texts[0][3])
            self._write_header(start, size, texts)
        self.fp.flush()

    def _read(self, place, size):
        self.fp.seek(place)
        data = self.fp.read(size)
        if len(data) != size:
            raise ValueError("{} ends in the middle of its LVM metadata".format(self.path))
        return data

    def _areas(self):
        """Return where the areas with metadata are."""
        self.fp.seek(0)
        sectors = self.fp.read(4 * _SECTOR)
        for start in range(0, len(sectors), _SECTOR):
            if sectors.startswith(b"LABELONE", start):
                break
        else:
            raise RuntimeError("{} is no physical volume of LVM".format(self.path))
        place = start + _LABEL.unpack(self._read(start, _LABEL.size))[3] + _VOLUME.size
        _, place = self._list(_AREA, place)
        areas, _ = self._list(_AREA, place)
        return [offset for offset, _ in areas]

    def _list(self, form, place):
        """Return the structures of ``form`` up to the one that is zero, and where that ends."""
        found = []
        while True:
            item = form.unpack(self._read(place, form.size))
            place += form.size
            if item[0] == 0:
                return found, place
            found.append(item)

    def _header(self, place):
        raw = self._read(place, _HEADER_SIZE)
        checksum, magic, _, start, size = _HEADER.unpack_from(raw)
        if magic != _MAGIC or checksum != _checksum(raw[4:]):
            raise ValueError("the header of the LVM metadata on {} is broken".format(self.path))
        texts, _ = self._list(_TEXT, place + _HEADER.size)
        if not texts:
            raise RuntimeError("{} belongs to no volume group".format(self.path))
        return start, size, texts

    def _text(self, start, size, texts):
        offset, length, checksum, _ = texts[0]
        # The area is a ring behind its header.
        first = min(length, size - offset)
        data = self._read(start + offset, first) + self._read(start + _HEADER_SIZE, length - first)
        if _checksum(data) != checksum:
            raise ValueError("the LVM metadata on {} is broken".format(self.path))
        return data

    def _write_text(self, start, size, text, data):
        first = min(len(data), size - text[0])
        for place, part in ((start + text[0], data[:first]), (start + _HEADER_SIZE, data[first:])):
            self.fp.seek(place)
            self.fp.write(part)

    def _write_header(self, start, size, texts):
        body = _HEADER.pack(0, _MAGIC, 1, start, size)[4:] + b"".join(_TEXT.pack(*text) for text in texts)
        body = body.ljust(_HEADER_SIZE - 4, b"\0")
        self.fp.seek(start)
        self.fp.write(struct.pack("<I", _checksum(body)) + body)

    def close(self):
        self.fp.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


_TOKEN = re.compile(r'\s+|#[^\n]*|(?P<token>"(?:[^"\\]|\\.)*"|[{}\[\]=,]|[^\s#"{}\[\]=,]+)')


def _tokens(text):
    """Return the tokens of ``text``, the last one first."""
    found = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ValueError("unexpected {!r} in the LVM metadata".format(text[place : place + 10]))
        if match.group("token"):
            found.append(match.group("token"))
        place = match.end()
    return found[::-1]


def _section(tokens, end):
    values = OrderedDict()
    try:
        while (tokens[-1] if tokens else None) != end:
            name, sign = tokens.pop(), tokens.pop()
            if sign == "{":
                values[name] = _section(tokens, "}")
            elif sign == "=":
                values[name] = _value(tokens)
            else:
                raise ValueError("{!r} after {!r} in the LVM metadata".format(sign, name))
        if end is not None:
            tokens.pop()
    except IndexError:
        raise ValueError("the LVM metadata ends too early") from None
    return values


def _value(tokens):
    token = tokens.pop()
    if token == "[":
        items = []
        while tokens[-1] != "]":
            items.append(_value(tokens))
            if tokens[-1] == ",":
                tokens.pop()
        tokens.pop()
        return items
    if token.startswith('"'):
        return re.sub(r"\\(.)", r"\1", token[1:-1])
    return float(token) if "." in token else int(token)


def _lines(section):
    for name, value in section.items():
        if isinstance(value, dict):
            yield name + " {"
            yield from _lines(value)
            yield "}"
        else:
            yield "{} = {}".format(name, _text_of(value))


def _text_of(value):
    if isinstance(value, list):
        return "[{}]".format(", ".join(_text_of(item) for item in value))
    if isinstance(value, str):
        return '"{}"'.format(re.sub(r'(["\\])', r"\\\1", value))
    return str(value)
