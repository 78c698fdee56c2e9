"""The boot loader of s390x on a disk image, written by zipl(8)."""

import os

from osbuild.util.program import run


def install(root, disk, start, kernel, initrd=None, parameters="", sector_size=512):
    """Make ``disk``, the device of a whole disk, boot ``kernel`` of its file system mounted at ``root``.

    ``kernel`` and ``initrd`` are paths outside; ``start`` is the first sector of the partition with /boot, which
    has to be mounted. Raises ProgramError.
    """
    command = ["zipl", "--target", os.path.join(root, "boot"), "--image", kernel]
    if initrd:
        command += ["--ramdisk", initrd]
    command += ["--parameters", parameters, "--targetbase", disk, "--targettype", "SCSI"]
    run(command + ["--targetblocksize", str(sector_size), "--targetoffset", str(start)])
