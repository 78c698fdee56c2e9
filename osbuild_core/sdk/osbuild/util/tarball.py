"""Tar archives of trees, the same for the same tree."""

import os

from osbuild.util.path import in_tree
from osbuild.util.program import run

# Names of extended headers without the process id, and no times but that of the last change of the content.
_REPRODUCIBLE_HEADERS = "exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime"


def write(archive, tree, options):
    """Pack ``tree`` into the new file ``archive``; ``options`` are those of org.osbuild.tar.

    The compression may be any that tar knows, too, or None. Members are sorted by name; no time is after
    SOURCE_DATE_EPOCH where the environment has it. Raises ProgramError, and ValueError for paths outside of the tree.
    """
    compression = options.get("compression", "auto")
    command = ["tar", "--create", "--file=" + archive, "--sort=name"]
    if compression:
        command.append("--auto-compress" if compression == "auto" else "--" + compression)
    command += _format_arguments(options)
    if "SOURCE_DATE_EPOCH" in os.environ:
        command += ["--mtime=@" + os.environ["SOURCE_DATE_EPOCH"], "--clamp-mtime"]
    # Without a member, as of an empty tree, tar wants a list, and that may be empty.
    command += ["--directory=" + tree, "--files-from=/dev/null", "--"]
    run(command + _members(tree, options), env=_compression_variables())


def _members(tree, options):
    """Return the names to archive, relative to ``tree``."""
    if "paths" in options:
        for path in options["paths"]:
            if not in_tree(os.path.dirname(os.path.normpath(os.path.join(tree, path))), tree):
                raise ValueError("{} is not in the tree".format(path))
        return options["paths"]
    if options.get("root-node", "include") == "include":
        return ["."]
    return sorted(os.listdir(tree))


def _format_arguments(options):
    """Return the arguments that say what is stored of each file, and how."""
    arguments = ["--format=" + options.get("format", "gnu")]
    is_posix = options.get("format") == "posix"
    # Each of the three makes tar write the posix format, whatever was said before.
    for name, extra in (("acls", []), ("selinux", []), ("xattrs", ["--xattrs-include=*"])):
        if options.get(name, True):
            arguments += ["--" + name] + extra
            is_posix = True
    if is_posix:
        arguments.append("--pax-option=" + _REPRODUCIBLE_HEADERS)
    if options.get("numeric-owner", False):
        arguments.append("--numeric-owner")
    if options.get("sparse", False):
        arguments.append("--sparse")
    if "transform" in options:
        arguments.append("--transform=" + options["transform"])
    return arguments


def _compression_variables():
    """Return the environment that lets compressors use every processor without changing what they write."""
    # With one thread xz writes a single block, from two on several, the same for any number of threads.
    threads = max(2, os.cpu_count() or 1)
    return {"XZ_OPT": "--threads={}".format(threads), "ZSTD_NBTHREADS": str(threads)}
