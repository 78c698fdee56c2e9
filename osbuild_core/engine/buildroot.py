"""What the stages of one pipeline run on: the build tree, what its runner made of it, and the frame around."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from osbuild_core.catalog.module import Module
from osbuild_core.engine.keys import runner_key
from osbuild_core.engine.rootstate import RootState, make_state
from osbuild_core.engine.sdk import SDK, sdk_for, sdk_of
from osbuild_core.model.errors import SandboxError
from osbuild_core.sandbox import mounts
from osbuild_core.sandbox.capabilities import granted
from osbuild_core.sandbox.run import run
from osbuild_core.sandbox.spec import API, BIN, LIB, RUNNER, Bind, SandboxSpec, environment
from osbuild_core.store.lease import Lease
from osbuild_core.store.work import Work

if TYPE_CHECKING:
    from osbuild_core.engine.context import Context

LIBRARY_FOLDERS = ("assemblers", "devices", "exports", "inputs", "mounts", "runners", "sources", "stages")

KEEP_MARK = b"osbuild-core: effect-kept"
"""A runner with this in a comment at its top only changes /etc and /var, so one run of it serves all stages."""

# Shown from the build tree on top of what the runner made, where the tree has them.
ETC_PARTS = ("mke2fs.conf", "containers", "selinux")


@dataclass(frozen=True, slots=True)
class BuildRoot:
    """Paths of a build root that is ready for stages.

    ``root`` is the build tree (``/``: the host), ``frame`` a directory on a tmpfs that lives as long as
    the pipeline runs, ``state`` gives ``/etc`` and ``/var`` to each sandbox (None: while the runner runs).
    ``lib`` has the modules and, as ``osbuild``, what is in ``sdk``.
    """

    root: Path
    host: bool
    frame: Path
    lib: Path
    cmdline: Path
    runner: Module
    namespace: int
    name: str
    state: RootState | None = None
    sdk: Path = SDK

    def check_interpreter(self, module: Module) -> None:
        """Raise SandboxError where the build tree lacks what the shebang of ``module`` names."""
        with module.path.open("rb") as file:
            line = file.readline(256).decode(errors="replace")
        words = line[2:].split() if line.startswith("#!") else []
        interpreter = words[0] if words else "/bin/sh"
        if not self._has(interpreter):
            raise SandboxError(
                f"{self.name} has no {interpreter}, which {module.name} runs on",
                code="sandbox.no-interpreter",
                hint="add the package that has it to the build pipeline",
            )

    def _has(self, program: str) -> bool:
        # In the sandbox /bin and the like are links into /usr, whatever they are in the tree.
        top, _, rest = program.lstrip("/").partition("/")
        path = f"usr/{top}/{rest}" if top in ("bin", "sbin", "lib", "lib64") else f"{top}/{rest}"
        try:
            os.close(mounts.open_in_root(self.root, path))
        except OSError:
            return False
        return True

    def spec(
        self,
        argv: tuple[str, ...],
        *,
        api: Path,
        dev: Path,
        etc: Path,
        var: Path,
        binds: tuple[Bind, ...] = (),
        capabilities: frozenset[str],
        source_epoch: int | None = None,
        timeout: float | None = None,
        seccomp: bytes | None = None,
    ) -> SandboxSpec:
        """Return the sandbox of a program on this build root; ``binds`` are what only this program sees."""
        boot = self.root / "boot"
        parts = [
            Bind(str(self.root / "etc" / p), f"/etc/{p}")
            for p in ETC_PARTS
            if (self.root / "etc" / p).exists()
        ]
        if (self.root / "ostree").is_dir():
            parts.append(Bind(str(self.root / "ostree"), "/ostree"))
        return SandboxSpec(
            argv=argv,
            usr=str(self.root / "usr"),
            boot=str(boot) if not self.host and boot.is_dir() and not boot.is_symlink() else None,
            dev=str(dev),
            etc=str(etc),
            var=str(var),
            cmdline=str(self.cmdline),
            binds=(*parts, Bind(str(api), API), Bind(str(self.lib), LIB), *binds),
            environment=environment(
                os.environ.get("TERM"), source_epoch, os.environ.get("OSBUILD_EXPERIMENTAL", "")
            ),
            capabilities=capabilities,
            timeout=timeout,
            seccomp=seccomp,
        )

    def sdk_bind(self, module: Module) -> tuple[Bind, ...]:
        """Return what ``module`` needs to see if its library has another ``osbuild`` than most modules here."""
        sdk = sdk_for(module)
        return () if sdk == self.sdk else (Bind(str(sdk / "osbuild"), f"{LIB}/osbuild"),)

    def command(self, stage: str) -> tuple[tuple[str, ...], tuple[Bind, ...]]:
        """Return what to run for the executable ``stage`` of BIN, and what that needs to see."""
        program = f"{BIN}/{stage}"
        if keeps(self.runner):
            return (program,), ()
        runner = f"{RUNNER}/{self.runner.name}"
        return (runner, program), (Bind(str(self.runner.path), runner),)


@contextlib.contextmanager
def build_root(
    context: Context,
    build_key: str | None,
    runner: Module,
    *,
    name: str,
    namespace: int,
    show: Callable[[str], None],
) -> Iterator[BuildRoot]:
    """Prepare the build root of a pipeline in the calling thread's own mount namespace.

    ``name`` is how errors call it. Raises SandboxError where its runner fails.
    """
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(context.store.scratch("pipeline"))
        frame = scratch / "frame"
        frame.mkdir()
        mounts.tmpfs(frame)
        stack.callback(mounts.unmount_below, scratch)
        sdk = sdk_of(context.library.path)
        lib = make_lib(context.library.paths, sdk, frame / "lib")
        cmdline = frame / "cmdline"
        cmdline.write_text("root=/dev/osbuild\n")
        root = Path("/")
        if build_key is not None:
            lease = stack.enter_context(context.lease(build_key))
            root = stack.enter_context(lease.mount())
        bare = BuildRoot(root, build_key is None, frame, lib, cmdline, runner, namespace, name, sdk=sdk)
        kept = None
        if keeps(runner):
            lease = stack.enter_context(keep_runner(context, bare, build_key, show))
            kept = stack.enter_context(lease.mount())
        overlay = context.store.backend == "overlay"
        yield dataclasses.replace(bare, state=RootState(frame, scratch, kept, overlay=overlay))


def make_lib(libraries: Sequence[Path], sdk: Path, lib: Path) -> Path:
    """Show the module folders of ``libraries``, and ``osbuild`` of ``sdk``, in the new directory ``lib``."""
    lib.mkdir()
    sources = {name: [library / name for library in libraries] for name in LIBRARY_FOLDERS}
    sources["osbuild"] = [sdk / "osbuild"]
    for name, folders in sources.items():
        present = [folder for folder in folders if folder.is_dir()]
        if len(present) == 1:
            (lib / name).mkdir()
            mounts.bind(present[0], lib / name)
            continue
        # Small files, and not many: copied in no time, which a mount for each is not.
        for folder in reversed(present):
            shutil.copytree(folder, lib / name, dirs_exist_ok=True, ignore_dangling_symlinks=True)
    return lib


def keeps(runner: Module) -> bool:
    """Tell whether one run of ``runner`` serves all stages."""
    with runner.path.open("rb") as file:
        return KEEP_MARK in file.read(2048)


@contextlib.contextmanager
def keep_runner(
    context: Context, bare: BuildRoot, build_key: str | None, show: Callable[[str], None]
) -> Iterator[Lease]:
    """Give the lease of what the runner makes of ``/etc`` and ``/var``; run it now if the store lacks that."""
    key = runner_key(build_key, bare.runner.digest, context.digests)
    store = context.store
    with store.building(key, context.cancel.is_set):
        lease = store.acquire(key)
        if lease is None:
            with store.begin(key, None) as work:
                run_runner(context, bare, work, show)
                lease = work.commit_held({"runner": bare.runner.name})
    with lease:
        yield lease


def run_runner(context: Context, bare: BuildRoot, work: Work, show: Callable[[str], None]) -> None:
    """Run the runner of ``bare`` once, on the tree of ``work``. Raises SandboxError where it fails."""
    etc, var = make_state(work.tree)
    api, dev = new_api(bare, "runner")
    runner = f"{RUNNER}/{bare.runner.name}"
    bare.check_interpreter(bare.runner)
    spec = bare.spec(
        (runner, "/usr/bin/true"),
        api=api,
        dev=dev,
        etc=etc,
        var=var,
        binds=(Bind(str(bare.runner.path), runner), *bare.sdk_bind(bare.runner)),
        capabilities=granted(frozenset()),
        timeout=context.settings.stage_timeout,
    )
    with work.log.open("wb") as log:
        result = run(
            context.spawner,
            spec,
            api=api,
            log=log,
            show=show,
            namespace=bare.namespace,
            cancel=context.cancel.fileno(),
        )
    context.raise_if_cancelled()
    if result.returncode != 0:
        raise SandboxError(
            f"the runner {bare.runner.name} failed on {bare.name} (status {result.returncode}): "
            + (result.output.strip().splitlines() or ["no output"])[-1],
            code="sandbox.runner",
            hint="the build pipeline needs the packages that its runner uses",
        )


def new_api(root: BuildRoot, name: str) -> tuple[Path, Path]:
    """Make the ``api`` and ``dev`` directories of one sandbox, below ``name`` in the frame."""
    api = root.frame / name / "api"
    dev = root.frame / name / "dev"
    api.mkdir(parents=True)
    dev.mkdir()
    mounts.make_devices(dev)
    return api, dev
