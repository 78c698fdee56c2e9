"""SELinux: the configuration of a tree, and the labels of its files."""

import errno
import os
import subprocess

from osbuild.util.chroot import Chroot

XATTR_NAME_SELINUX = b"security.selinux"

_SETFILES = ("/usr/sbin/setfiles", "/usr/bin/setfiles", "/sbin/setfiles")


def parse_config(config_file):
    """Return the settings in the open file ``config_file``, which is like /etc/selinux/config, as a dict."""
    settings = {}
    for line in config_file:
        name, equals, value = line.partition("=")
        if equals and not name.lstrip().startswith("#"):
            settings[name.strip()] = value.strip()
    return settings


def config_get_policy(config):
    """Return the name of the policy that is in force with the settings ``config``, None without SELinux."""
    if config.get("SELINUX") in ("enforcing", "permissive"):
        return config.get("SELINUXTYPE")
    return None


def setfiles(spec_file, root, *paths, exclude_paths=None, setfiles_from="host"):
    """Label ``paths`` of the tree ``root`` as the file ``spec_file`` says, but for ``exclude_paths``.

    ``paths`` are as seen in the tree; ``spec_file`` and ``exclude_paths`` as seen from here. ``setfiles_from``
    tells which setfiles(8) does it: that of the ``host``, which here is the build root, or that of the ``tree``.
    Raises CalledProcessError, RuntimeError where the tree has none.
    """
    if setfiles_from not in ("host", "tree"):
        raise ValueError("setfiles_from is host or tree, not {!r}".format(setfiles_from))
    root, spec_file = os.fspath(root), os.fspath(spec_file)
    excluded = [os.fspath(path) for path in exclude_paths or ()]
    if setfiles_from == "host":
        for path in paths:
            command = ["setfiles", "-F", "-r", root] + _options("-e", excluded)
            subprocess.run(command + [spec_file, root + path], check=True)
        return
    program = _setfiles_of(root)
    options = _options("-e", [_inside(path, root) for path in excluded])
    with Chroot(root) as chroot:
        for path in paths:
            chroot.run([program, "-F"] + options + [_inside(spec_file, root), path], check=True)


def _options(option, values):
    return [word for value in values for word in (option, value)]


def _setfiles_of(root):
    for path in _SETFILES:
        if os.path.isfile(root + path):
            return path
    raise RuntimeError("{} has no setfiles, try setfiles_from host".format(root))


def _inside(path, root):
    """Return ``path`` as seen from the tree ``root``; one that is not below it is taken as it is."""
    relative = os.path.relpath(path, root)
    if relative == ".." or relative.startswith("../"):
        return path
    return os.path.normpath(os.path.join("/", relative))


def getfilecon(path):
    """Return the label of ``path``, a symbolic link's own. Raises OSError."""
    return os.getxattr(path, XATTR_NAME_SELINUX, follow_symlinks=False).decode().rstrip("\n\0")


def setfilecon(path, context):
    """Give ``path``, or what it is a link to, the label ``context``. Raises OSError."""
    try:
        os.setxattr(path, XATTR_NAME_SELINUX, context.encode(), follow_symlinks=True)
    except OSError as error:
        # A file system that cannot change labels will do if the label is right.
        if error.errno != errno.ENOTSUP or getfilecon(path) != context:
            raise
