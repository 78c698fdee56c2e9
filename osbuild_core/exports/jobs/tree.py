"""Sessions on a tree that a manifest built: each command has a sandbox of its own, all see one copy of the tree."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from osbuild_core.engine.session import Session as EngineSession
from osbuild_core.exports.jobs.command import Command, CommandError
from osbuild_core.exports.jobs.errors import near
from osbuild_core.exports.jobs.job import Job, JobParameterValues, ParameterValueType
from osbuild_core.exports.jobs.pathmapping import PathMappingRule, mapped_path
from osbuild_core.exports.jobs.switching import Switch
from osbuild_core.model.errors import SandboxError, StoreError, UsageError
from osbuild_core.model.manifest import Manifest
from osbuild_core.protocol.keeper import Started
from osbuild_core.sandbox import mounts
from osbuild_core.sandbox.capabilities import granted
from osbuild_core.sandbox.run import bubblewrap
from osbuild_core.sandbox.spec import Bind, SandboxSpec, bubblewrap_argv
from osbuild_core.store.namespace import enter_private_namespace

OURS = frozenset("bin boot dev etc lib lib32 lib64 libx32 proc run sbin sys tmp usr var".split())
"""Directories of a root that every sandbox has; others of the tree are shown as well."""

BELOW = 2
"""Generations between bubblewrap, as we start it, and the command: between them is the init of the sandbox."""


class InTree(Switch):
    """Commands run in the sandbox ``spec``, in which the session's directory is where it is outside.

    ``root`` is the tree; a command that is not there is told of, instead of what bubblewrap makes of it.
    """

    def __init__(self, spec: SandboxSpec, root: Path) -> None:
        self._spec = spec
        self._root = root
        self._program = bubblewrap()

    @property
    def environment(self) -> Mapping[str, str]:
        return dict(self._spec.environment)

    def command(self, command: Command) -> Command:
        if not self._has(command.argv[0], command.changes):
            raise CommandError(Started(error=errno.ENOENT), command.argv[0])
        spec = self._spec._replace(binds=(*self._spec.binds, Bind(command.cwd, command.cwd, "rw")))
        *options, end = bubblewrap_argv(spec, self._program)
        argv = (*options, "--chdir", command.cwd, end, *command.argv)
        return command._replace(argv=argv, depth=BELOW, shown=command.argv[0])

    def _has(self, name: str, changes: Mapping[str, str | None]) -> bool:
        """Tell whether ``name`` can be found; one with a path may be anywhere, also in what is shown besides."""
        if "/" in name:
            return True
        path = changes.get("PATH", self.environment["PATH"]) or os.defpath
        for directory in path.split(":"):
            top, _, rest = directory.strip("/").partition("/")
            # In the sandbox these are links into /usr, whatever they are in the tree.
            place = f"usr/{top}/{rest}" if top in ("bin", "sbin", "lib", "lib64") else f"{top}/{rest}"
            if top != "usr" and top in OURS and top not in ("bin", "sbin", "lib", "lib64", "etc", "var"):
                return True
            with contextlib.suppress(OSError):
                os.close(mounts.open_in_root(self._root, f"{place}/{name}"))
                return True
        return False


def build_tree(engine: EngineSession, manifest: Manifest, pipeline: str) -> str:
    """Build ``pipeline`` and return the key of its tree. Raises UsageError, SandboxError where it fails."""
    names = [item.name for item in manifest.pipelines]
    if pipeline not in names:
        hint = near(pipeline, names) or f"there are: {', '.join(names)}"
        raise UsageError(f"the manifest has no pipeline {pipeline!r}", code="usage.root", hint=hint)
    result = engine.build(manifest, pipelines=[pipeline])
    if not result.success:
        engine.raise_if_cancelled()
        what, failure = next(iter(result.failures()))
        raise SandboxError(
            f"{pipeline} cannot be built: {what}: {failure.detail}",
            code="job.tree",
            hint=failure.hint,
            place=failure.place,
        )
    key = engine.plan(manifest, pipelines=[pipeline]).pipeline(pipeline).key
    if key is None:
        raise UsageError(f"the pipeline {pipeline!r} has no stages, so no tree", code="usage.root")
    return key


@contextlib.contextmanager
def mounted(engine: EngineSession, key: str, binds: Sequence[Bind]) -> Iterator[InTree]:
    """Give what runs commands on the tree of ``key``, which is written to for as long as this lasts.

    Needs a thread of its own, whose mounts it changes. Raises StoreError, SandboxError.
    """
    enter_private_namespace()
    with contextlib.ExitStack() as stack:
        lease = stack.enter_context(engine.lease(key))
        tree = stack.enter_context(lease.mount())
        scratch = stack.enter_context(engine.store.scratch("job"))
        stack.callback(mounts.unmount_below, scratch)
        root, dev = scratch / "root", scratch / "dev"
        root.mkdir()
        dev.mkdir()
        if engine.store.backend == "overlay":
            _overlay(tree, scratch, root)
        else:
            _copy(tree, root)
        mounts.tmpfs(dev)
        mounts.make_devices(dev)
        cmdline = scratch / "cmdline"
        cmdline.write_text("root=/dev/osbuild\n")
        yield InTree(_spec(root, dev, cmdline, binds), root)


def _spec(root: Path, dev: Path, cmdline: Path, binds: Sequence[Bind]) -> SandboxSpec:
    if not (root / "usr").is_dir():
        raise SandboxError(
            "the tree has no /usr to run commands from",
            code="job.tree",
            hint="name the pipeline of a whole system",
        )
    for name in ("etc", "var"):
        (root / name).mkdir(exist_ok=True)
    more = [
        Bind(str(path), f"/{path.name}", "rw")
        for path in sorted(root.iterdir())
        if path.name not in OURS and path.is_dir() and not path.is_symlink()
    ]
    boot = root / "boot"
    return SandboxSpec(
        argv=(),
        usr=str(root / "usr"),
        boot=str(boot) if boot.is_dir() and not boot.is_symlink() else None,
        dev=str(dev),
        etc=str(root / "etc"),
        var=str(root / "var"),
        cmdline=str(cmdline),
        binds=(*more, *binds),
        environment=(
            ("HOME", "/root"),
            ("LC_CTYPE", "C.UTF-8"),
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"),
            ("TERM", os.environ.get("TERM", "dumb")),
            ("container", "bwrap-osbuild"),
        ),
        capabilities=granted(frozenset()),
    )


def _overlay(tree: Path, scratch: Path, root: Path) -> None:
    # Through descriptors: an option of mount(2) has no room for any path, nor for commas in it.
    for name in ("upper", "work"):
        (scratch / name).mkdir()
    here = os.open(scratch, os.O_PATH | os.O_CLOEXEC)
    lower = os.open(tree, os.O_PATH | os.O_CLOEXEC)
    place = f"/proc/self/fd/{here}"
    data = f"lowerdir=/proc/self/fd/{lower},upperdir={place}/upper,workdir={place}/work"
    try:
        mounts.mount("overlay", root, "overlay", 0, data)
    except OSError as error:
        raise StoreError(f"cannot show the tree: {error.strerror}", code="job.tree") from error
    finally:
        os.close(here)
        os.close(lower)


def _copy(tree: Path, root: Path) -> None:
    done = subprocess.run(
        ["cp", "-a", "--reflink=auto", "--", f"{tree}/.", str(root)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["cp failed"])[-1]
        raise StoreError(f"cannot copy the tree: {reason}", code="job.tree", hint="is there space left?")


def parameter_binds(job: Job, values: JobParameterValues, rules: Sequence[PathMappingRule]) -> list[Bind]:
    """Return what shows the files of a job in its sandbox: of parameters with dataFlow IN, to be read, of OUT and
    INOUT to be written, at the paths that they have here. Raises UsageError for what is not there.
    """
    binds = []
    for name, parameter in job.parameters.items():
        value = values[name].value if name in values else parameter.value
        if parameter.type is not ParameterValueType.PATH or parameter.dataFlow in (None, "NONE") or not value:
            continue
        path = Path(mapped_path(rules, value))
        mode = "ro" if parameter.dataFlow == "IN" else "rw"
        shown = path
        if mode == "rw" and not path.exists() and path.parent.is_dir():
            # It is about to be made.
            shown = path.parent
        if not shown.exists() or not shown.is_absolute():
            raise UsageError(f"{name}: {path} is not there to be shown in the sandbox", code="usage.path")
        binds.append(Bind(str(shown), str(shown), "ro" if mode == "ro" else "rw"))
    return binds
