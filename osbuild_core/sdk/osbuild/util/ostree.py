"""OSTree repositories and deployments, by the ostree program."""

import glob
import os
import subprocess
import sys

from osbuild.util.passwd import PasswdLike, SubIdsDB
from osbuild.util.treecompose import Treefile

__all__ = [
    "PasswdLike",
    "SubIdsDB",
    "Treefile",
    "cli",
    "deployment_path",
    "parse_deployment_option",
    "parse_input_commits",
    "pull_local",
    "rev_parse",
    "setup_remote",
    "show",
]


def cli(*args, _input=None, **kwargs):
    """Run ``ostree ARGS --KEY=VALUE…`` and return the subprocess.CompletedProcess with what it printed as text.

    ``_input`` is text for its standard input. Raises CalledProcessError.
    """
    command = ["ostree"] + [os.fspath(arg) for arg in args]
    # With its value in the same word, or an empty one would be taken for the next option.
    command += ["--{}={}".format(name, value) for name, value in kwargs.items()]
    print(" ".join(command), file=sys.stderr)
    sys.stderr.flush()
    return subprocess.run(command, encoding="utf-8", stdout=subprocess.PIPE, input=_input, check=True)


def rev_parse(repo, ref):
    """Return the checksum of the commit ``ref`` of the repository ``repo``. Raises RuntimeError."""
    return _asked("rev-parse", ref, repo)


def show(repo, checksum):
    """Return what ostree says of the commit ``checksum`` of ``repo``. Raises RuntimeError."""
    return _asked("show", checksum, repo)


def _asked(verb, what, repo):
    command = ["ostree", verb, "--repo={}".format(os.fsdecode(repo)), what]
    done = subprocess.run(command, encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise RuntimeError(done.stdout.strip() or "ostree {} failed".format(verb))
    return done.stdout.strip()


def pull_local(source_repo, target_repo, remote, ref):
    """Copy the commit ``ref`` of ``source_repo`` into ``target_repo``, as of ``remote`` if that is not empty."""
    extra = ["--remote={}".format(remote)] if remote else []
    cli("pull-local", source_repo, ref, *extra, repo=target_repo)


def setup_remote(repo, name, remote):
    """Add the remote ``name`` to ``repo``.

    ``remote`` is a dict with ``url`` and, if need be, ``contenturl``, ``gpgkeys`` (a list of keys; without any,
    nothing is verified) and ``secrets`` (``{"name": "org.osbuild.rhsm.consumer"}``).
    """
    keys = remote.get("gpgkeys", [])
    options = [] if keys else ["--no-gpg-verify"]
    if "contenturl" in remote:
        options.append("--contenturl={}".format(remote["contenturl"]))
    if remote.get("secrets", {}).get("name") == "org.osbuild.rhsm.consumer":
        from osbuild.util.rhsm import Subscriptions

        secrets = Subscriptions.get_consumer_secrets()
        options.append("--set=tls-client-key-path={}".format(secrets["consumer_key"]))
        options.append("--set=tls-client-cert-path={}".format(secrets["consumer_cert"]))
    cli("remote", "add", name, remote["url"], *options, repo=repo)
    for key in keys:
        cli("remote", "gpg-import", "--stdin", name, repo=repo, _input=key)


def parse_input_commits(commits):
    """Return (repository, {commit: options}) of an ``org.osbuild.ostree`` input. Raises ValueError without any."""
    refs = commits["data"]["refs"]
    if not refs:
        raise ValueError("the input has no commit")
    return commits["path"], refs


def parse_deployment_option(root, deployment):
    """Return (name of the system, ref, serial) that the option ``deployment`` means in the system root ``root``.

    ``{"default": True}`` means the only one that is there; the ref is its commit then. Raises ValueError where there
    is none, or more than one.
    """
    if not deployment.get("default"):
        return deployment["osname"], deployment["ref"], deployment.get("serial", 0)
    # With the last number, which is not 0 after an upgrade in place; .origin files lie beside them.
    pattern = os.path.join(glob.escape(os.fspath(root)), "ostree/deploy/*/deploy/*.[0-9]*")
    found = [path for path in glob.glob(pattern) if os.path.isdir(path)]
    if len(found) != 1:
        raise ValueError("{} deployments in {}, not one: {}".format(len(found), root, ", ".join(found)))
    commit, _, serial = os.path.basename(found[0]).rpartition(".")
    osname = os.path.basename(os.path.dirname(os.path.dirname(found[0])))
    return osname, commit, int(serial)


def deployment_path(root, osname="", ref="", serial=0):
    """Return the directory of a deployment in the system root ``root``. Raises RuntimeError without that ref."""
    base = os.path.join(root, "ostree")
    commit = rev_parse(os.path.join(base, "repo"), ref)
    return os.path.join(base, "deploy", osname, "deploy", "{}.{}".format(commit, serial))
