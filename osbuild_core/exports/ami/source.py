"""The image that goes up, with what it is: its format, the size of its disk."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from osbuild_core.exports.aws.file import LocalFile
from osbuild_core.exports.aws.state import State

PLACE = ("awspub", "source", "path")

_SECTOR = 512


class Source(LocalFile):
    """An open image file."""

    def __init__(self, path: Path, state: State, *, image_format: str | None = None) -> None:
        """Raises AwsError ``aws.source`` where the file cannot be read or is no image."""
        super().__init__(path, state, place=PLACE)
        try:
            if self.size == 0:
                raise self.refused(f"{path} is empty", "did whatever makes it fail?")
            self.format = image_format or self._detect()
            self.virtual_size = _virtual_size(self.fd, self.size, self.format)
        except BaseException:
            self.close()
            raise

    def _detect(self) -> str:
        """Return the format by the first and last bytes. Raises AwsError for one that EC2 does not take."""
        head = os.pread(self.fd, 64, 0)
        convert = "convert it: qemu-img convert -O raw, or -O vmdk -o subformat=streamOptimized"
        if head.startswith(b"KDMV"):
            return "vmdk"
        if head.startswith(b"QFI\xfb"):
            raise self.refused(f"{self.path} is a qcow2 image, which EC2 does not take", convert)
        if head.startswith(b"vhdxfile"):
            raise self.refused(f"{self.path} is a VHDX image, which EC2 does not take as a snapshot", convert)
        if head.startswith(b"# Disk DescriptorFile"):
            raise self.refused(
                f"{self.path} only describes a VMDK image, its data is in other files", convert
            )
        footer = os.pread(self.fd, 8, max(0, self.size - _SECTOR))
        return "vhd" if b"conectix" in (head[:8], footer) else "raw"


def _virtual_size(fd: int, size: int, image_format: str) -> int:
    """Return the size of the disk that the image is of, in bytes."""
    if image_format == "vmdk":
        head = os.pread(fd, 20, 0)
        return int(struct.unpack_from("<Q", head, 12)[0]) * _SECTOR if head.startswith(b"KDMV") else size
    if image_format == "vhd":
        footer = os.pread(fd, _SECTOR, max(0, size - _SECTOR))
        return int(struct.unpack_from(">Q", footer, 48)[0]) if footer.startswith(b"conectix") else size
    return size
