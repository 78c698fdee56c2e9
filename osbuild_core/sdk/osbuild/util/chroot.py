"""Programs of a tree, run with the tree as their root directory."""

import contextlib
import os
import stat
import subprocess

from osbuild.util import mnt
from osbuild.util.path import resolve

_DEVICES = ("full", "null", "random", "tty", "urandom", "zero")
_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Chroot:
    """Context manager: ``root`` with ``/proc``, ``/sys`` and a ``/dev`` that has the block devices of ours.

    With ``bind``, also an empty ``/run`` and ``/tmp``. Nothing that a program writes to these places stays in the
    tree. On leaving, all mounts are gone, and mount points that had to be made are removed. Entering raises OSError
    where a mount is refused.
    """

    def __init__(self, root, bind_mounts=(), bind=None):
        """``bind_mounts`` are directories of ours to be seen, with what is mounted below, at the same path inside.

        ``bind`` has (source, target) pairs of directories to be seen, read-only, below ``/run`` or ``/tmp``.
        """
        self.root = os.fspath(root)
        self.bind_mounts = list(bind_mounts or ())
        self.bind = bind
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            points = {name: self._mount_point(stack, name) for name in ("proc", "sys", "dev")}
            self._filesystem(stack, "proc", points["proc"], ["nosuid", "nodev", "noexec"])
            self._bind(stack, "/sys", points["sys"])
            self._filesystem(stack, "tmpfs", points["dev"], ["nosuid", "mode=755"])
            self._populate_dev(stack, points["dev"])
            if self.bind is not None:
                self._empty_places(stack)
            for path in self.bind_mounts:
                self._bind_mount(stack, path)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exception):
        self._stack.close()
        return False

    def run(self, argv, env=None, **keywords):
        """Run ``argv`` in the tree and return the subprocess.CompletedProcess.

        ``env`` is added to a small environment; other keywords are those of subprocess.run.
        """
        environment = {"PATH": _PATH, "HOME": "/root", "TERM": "dumb", "LC_ALL": "C.UTF-8"}
        if "SOURCE_DATE_EPOCH" in os.environ:
            environment["SOURCE_DATE_EPOCH"] = os.environ["SOURCE_DATE_EPOCH"]
        environment.update(env or {})
        if "input" not in keywords:
            keywords.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(argv, env=environment, preexec_fn=self._enter, **keywords)

    def _enter(self):
        os.chroot(self.root)
        os.chdir("/")
        os.umask(0o022)

    def _mount_point(self, stack, name):
        path = os.path.join(self.root, name)
        if os.path.islink(path):
            raise ValueError("/{} of the tree is a symbolic link".format(name))
        if not os.path.isdir(path):
            _directory(path, 0o755)
            stack.callback(os.rmdir, path)
        return path

    def _empty_places(self, stack):
        run, tmp = self._mount_point(stack, "run"), self._mount_point(stack, "tmp")
        self._filesystem(stack, "tmpfs", run, ["nosuid", "nodev", "mode=755"])
        self._filesystem(stack, "tmpfs", tmp, ["nosuid", "nodev", "mode=1777"])
        _directory(os.path.join(run, "lock"), 0o1777)
        for source, target in self.bind:
            path = os.path.join(self.root, target.lstrip("/"))
            os.makedirs(path, exist_ok=True)
            self._bind(stack, source, path)

    def _bind_mount(self, stack, path):
        target = resolve(self.root, path)
        os.makedirs(target, exist_ok=True)
        mnt.mount(path, target, ro=False)
        stack.callback(mnt.umount, target, lazy=True)

    def _populate_dev(self, stack, dev):
        for name in _DEVICES:
            if os.path.exists("/dev/" + name):
                self._bind(stack, "/dev/" + name, os.path.join(dev, name))
        for path in _block_devices("/dev"):
            target = os.path.join(dev, os.path.relpath(path, "/dev"))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            self._bind(stack, path, target)
        for name, target in _LINKS:
            os.symlink(target, os.path.join(dev, name))
        _directory(os.path.join(dev, "shm"), 0o1777)
        pts = os.path.join(dev, "pts")
        _directory(pts, 0o755)
        # Not every place allows terminals of its own, and few programs miss them.
        with contextlib.suppress(OSError):
            self._filesystem(
                stack, "devpts", pts, ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
            )

    def _filesystem(self, stack, kind, target, options):
        mnt.mount_filesystem(kind, target, kind, options)
        # What a script left running must not keep the tree busy, so the mount is taken out at once.
        stack.callback(mnt.umount, target, lazy=True)

    def _bind(self, stack, source, target):
        mnt.mount(source, target, ro=not source.startswith("/dev/"))
        stack.callback(mnt.umount, target, lazy=True)


def _block_devices(folder):
    for name, _, files in os.walk(folder):
        for path in (os.path.join(name, file) for file in files):
            if stat.S_ISBLK(os.lstat(path).st_mode):
                yield path


def _directory(path, mode):
    os.mkdir(path)
    os.chmod(path, mode)
