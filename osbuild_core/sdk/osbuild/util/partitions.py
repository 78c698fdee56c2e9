"""Partition tables, written and read with sfdisk(8)."""

import json
import subprocess

from osbuild.util.program import ProgramError

# sfdisk knows the first bits by name only; those from 48 on belong to the partition type.
_ATTRIBUTES = {0: "RequiredPartition", 1: "NoBlockIOProtocol", 2: "LegacyBIOSBootable"}


def write(disk, label, uuid, partitions):
    """Write a partition table to ``disk``, a device or a file; partitions get their numbers in the order given.

    ``label`` is "gpt", "dos" or, which is the same, "mbr"; ``partitions`` are dicts with the options of
    org.osbuild.sfdisk. Raises ProgramError where sfdisk refuses.
    """
    lines = ["label: " + {"mbr": "dos"}.get(label, label), "label-id: " + uuid, ""]
    lines += [_script_line(partition, disk) for partition in partitions]
    # Nobody uses the partitions of this disk yet, so the kernel need not hear of them.
    _sfdisk(["--quiet", "--no-tell-kernel", disk], input=("\n".join(lines) + "\n").encode("utf-8"))


def read(disk):
    """Return the partition table of ``disk`` as ``sfdisk --json`` tells it; starts and sizes are in sectors.

    Raises ProgramError where there is none.
    """
    shown = _sfdisk(["--json", disk], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
    return json.loads(shown.decode("utf-8"))["partitiontable"]


def _script_line(partition, disk):
    """Return the line of an sfdisk(8) script for ``partition``."""
    # sfdisk takes a line without any value for a command or for none at all; + is all the space that is left.
    partition = dict({"size": "+"}, **partition)
    fields = [
        "{}={}".format(key, partition[key]) for key in ("start", "size", "type", "uuid") if key in partition
    ]
    if "name" in partition:
        # As in udev's names: a quote would end the field, whatever is before it.
        name = partition["name"].replace("\\", "\\x5c").replace('"', "\\x22")
        fields.append('name="{}"'.format(name))
    if partition.get("attrs"):
        names = [_ATTRIBUTES.get(bit, "GUID:{}".format(bit)) for bit in partition["attrs"]]
        fields.append('attrs="{}"'.format(",".join(names)))
    if partition.get("bootable", False):
        fields.append("bootable")
    if "partnum" not in partition:
        return ", ".join(fields)
    separator = "p" if disk[-1].isdigit() else ""
    return "{}{}{} : {}".format(disk, separator, partition["partnum"], ", ".join(fields))


def _sfdisk(arguments, **streams):
    try:
        done = subprocess.run(["sfdisk"] + arguments, **streams)
    except OSError as error:
        raise ProgramError("cannot run sfdisk of the build root: {}".format(error.strerror)) from error
    if done.returncode != 0:
        raise ProgramError("sfdisk failed with exit status {}".format(done.returncode))
    return done
