"""Making file systems on a device, for the options of the stages org.osbuild.mkfs.*."""

import os

from osbuild.util.program import run


def ext4(device, options):
    """Make an ext4 file system. Raises ProgramError."""
    uuid = options["uuid"]
    # mke2fs would take a random seed for its directory hashes.
    extended = ["hash_seed=" + uuid]
    if "lazy_init" in options:
        lazy = int(options["lazy_init"])
        extended += ["lazy_itable_init={}".format(lazy), "lazy_journal_init={}".format(lazy)]
    features = [
        name if options[name] else "^" + name
        for name in ("verity", "orphan_file", "metadata_csum_seed")
        if name in options
    ]

    command = ["mkfs.ext4", "-q", "-U", uuid, "-E", ",".join(extended)]
    if features:
        command += ["-O", ",".join(features)]
    if "label" in options:
        command += ["-L", options["label"]]
    env = {}
    if "SOURCE_DATE_EPOCH" in os.environ:
        env["E2FSPROGS_FAKE_TIME"] = os.environ["SOURCE_DATE_EPOCH"]
    run(command + [device], env=env)


def xfs(device, options):
    """Make an XFS file system. Raises ProgramError."""
    command = ["mkfs.xfs", "-q", "-m", "uuid=" + options["uuid"]]
    if "label" in options:
        command += ["-L", options["label"]]
    if "agcount" in options:
        command += ["-d", "agcount={}".format(options["agcount"])]
    run(command + [device], env=_seeded())


def btrfs(device, options):
    """Make a Btrfs file system. Raises ProgramError."""
    command = ["mkfs.btrfs", "-q", "-U", options["uuid"]]
    # Said in any case, since old versions go by what the disk of the building machine is like.
    command += ["-m", options.get("metadata", "dup")]
    if "label" in options:
        command += ["-L", options["label"]]
    run(command + [device], env=_seeded())


def fat(device, options):
    """Make a FAT file system. Raises ProgramError."""
    # The device may be a whole disk.
    command = ["mkfs.fat", "-I"]
    if "SOURCE_DATE_EPOCH" in os.environ:
        # A constant in place of the time of day. It sets the volume's id as well, so it has to come first.
        command.append("--invariant")
    command += ["-i", options["volid"]]
    if "label" in options:
        command += ["-n", options["label"]]
    if "fat-size" in options:
        command += ["-F", str(options["fat-size"])]
    if "geometry" in options:
        geometry = options["geometry"]
        command += ["-g", "{}/{}".format(geometry["heads"], geometry["sectors-per-track"])]
    run(command + [device])


def _seeded():
    # What is random comes from a seed then, in versions that know it; they take the time from the epoch, too.
    return {"DETERMINISTIC_SEED": "1"} if "SOURCE_DATE_EPOCH" in os.environ else {}
