"""File systems of disk images: made, mounted and filled with a tree."""

import contextlib
import errno
import os
import shutil
import tempfile

from osbuild.util import mkfs, mnt
from osbuild.util.program import ProgramError, run

_MOUNT_OPTIONS = {
    # FAT has no owners, and is not to complain that it has none.
    "vfat": ("quiet",),
    # Two builds may have images with the same UUID mounted at the same time.
    "xfs": ("nouuid",),
}


def make(device, kind, uuid, label=None):
    """Make a file system on ``device``; ``kind`` is "ext4", "xfs", "btrfs" or "vfat". Raises ProgramError."""
    options = {"volid": uuid.replace("-", "")} if kind == "vfat" else {"uuid": uuid}
    if label:
        options["label"] = label
    maker = {"btrfs": mkfs.btrfs, "ext4": mkfs.ext4, "vfat": mkfs.fat, "xfs": mkfs.xfs}[kind]
    maker(device, options)


@contextlib.contextmanager
def mounted(device, kind, target):
    """Context manager: the file system of ``device`` is to be filled at the directory ``target``.

    Where the kernel has no FAT, a directory takes its place, and mtools copies that when the context is left; so it
    has to be empty before. Raises OSError, and ProgramError for what mtools cannot do.
    """
    try:
        mnt.mount_filesystem(device, target, kind, _MOUNT_OPTIONS.get(kind, ()))
    except OSError as error:
        if kind != "vfat" or error.errno != errno.ENODEV:
            raise
        with _staged_fat(device, target):
            yield
        return
    try:
        yield
    finally:
        mnt.umount(target)


def copy_tree(tree, target):
    """Copy what is in the directory ``tree``, and what it says of itself, into ``target``. Raises ProgramError."""
    run(["cp", "--archive", "--", os.path.join(tree, "."), target])


@contextlib.contextmanager
def _staged_fat(device, target):
    if not shutil.which("mcopy"):
        raise ProgramError(
            "the kernel cannot mount FAT, and the build root has no mcopy to do without: add the package mtools"
        )
    with tempfile.TemporaryDirectory(prefix="fat-", dir="/var/tmp") as folder:
        mnt.mount(folder, target, ro=False)
        try:
            yield
            _fill_fat(device, folder)
        finally:
            mnt.umount(target)


def _fill_fat(device, folder):
    for here, folders, files in os.walk(folder):
        for path in (os.path.join(here, name) for name in folders + files):
            if os.path.islink(path) or not (os.path.isdir(path) or os.path.isfile(path)):
                name = os.path.relpath(path, folder)
                raise ValueError("{} is no file or directory, and FAT holds nothing else".format(name))
    names = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    if names:
        # The checks are about floppy disks, settings are not to come from the build root.
        env = {"MTOOLS_SKIP_CHECK": "1", "MTOOLSRC": "/dev/null"}
        run(["mcopy", "-i", device, "-s", "-p", "-m", "-Q"] + names + ["::"], env=env)
