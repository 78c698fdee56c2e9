"""Templates in git repositories, built by the engine at a commit."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from osbuild_core.exports.compose.configuration import ComposeSettings, RawConfig
from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.lock import Lock, Tree
from osbuild_core.exports.compose.request import ComposeRequest

_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,200}")
_HASH = re.compile("[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SECONDS = 600


def configured(request: ComposeRequest, settings: ComposeSettings) -> tuple[str, RawConfig, str]:
    """Return (name, configuration, revision) of a request. Raises ComposeError ``compose.source``."""
    name, _, revision = request.source.partition("#")
    if name not in settings.raw_configs:
        raise ComposeError(f"there is no configuration {name!r}", code="compose.source")
    if not _REVISION.fullmatch(revision) or ".." in revision:
        raise ComposeError(f"{revision!r} is no commit or branch", code="compose.source")
    return name, settings.raw_configs[name], revision


def exact_source(request: ComposeRequest, settings: ComposeSettings) -> str:
    """Return the source with the commit that its branch or tag is at now."""
    name, config, revision = configured(request, settings)
    if _HASH.fullmatch(revision):
        return request.source
    listed = _git(
        "ls-remote", "--", config.url, revision, f"refs/heads/{revision}", f"refs/tags/{revision}^{{}}"
    )
    pairs = (line.partition("\t") for line in listed.splitlines())
    found = {ref: commit for commit, mark, ref in pairs if mark}
    for ref in (f"refs/heads/{revision}", f"refs/tags/{revision}^{{}}", f"refs/tags/{revision}"):
        if ref in found:
            return f"{name}#{found[ref]}"
    raise ComposeError(
        f"the repository of {name!r} has no branch or tag {revision!r}",
        code="compose.source",
        hint="a commit has to be named in full",
    )


def lock(request: ComposeRequest, settings: ComposeSettings, say: Callable[[str], None]) -> Lock:
    """Resolve the template of a request. Raises ComposeError, ResolveError."""
    from osbuild_core.resolve import ResolveSettings, resolve
    from osbuild_core.resolve.entries import without_credentials

    _, config, commit = configured(request, settings)
    with tempfile.TemporaryDirectory(prefix="compose-git-") as folder:
        tree = Path(folder) / "tree"
        _check_out(config.url, commit, tree)
        say(f"resolving {config.template} of {without_credentials(config.url)} at {commit}")
        options = ResolveSettings(root=tree)
        if settings.state_dir is not None:
            options = dataclasses.replace(options, state_dir=settings.state_dir / "apt")
        manifest = resolve(tree / config.template, variables=config.variables, settings=options)
    # The path of a directory that is gone would tell nothing, and differ each time.
    manifest["metadata"]["resolve"]["template"] = config.template
    names = [config.export] if config.export else _leaves(manifest, settings)
    trees = tuple(Tree(name, name, arch) for name in names for arch in request.arches[:1])
    return Lock("image", manifest, trees, request.arches)


def _leaves(manifest: dict[str, object], settings: ComposeSettings) -> list[str]:
    from osbuild_core.engine.plan import leaves
    from osbuild_core.engine.session import Session
    from osbuild_core.engine.settings import Settings

    with Session(Settings(store=settings.store, library=settings.library)) as session:
        return leaves(session.load(manifest))


def _check_out(url: str, commit: str, tree: Path) -> None:
    """Put the files of a commit into ``tree``, without the repository that they are from."""
    _git("init", "--quiet", str(tree))
    inside = ("-C", str(tree))
    try:
        _git(*inside, "fetch", "--quiet", "--depth", "1", "--", url, commit)
        start = "FETCH_HEAD"
    except ComposeError:
        # A server may give away branches only.
        _git(*inside, "fetch", "--quiet", "--", url, "refs/heads/*:refs/fetched/*", "refs/tags/*:refs/tags/*")
        start = commit
    _git(*inside, "checkout", "--quiet", "--detach", start)
    shutil.rmtree(tree / ".git")


def _git(*arguments: str) -> str:
    """Run git and return what it prints. Raises ComposeError ``compose.source``."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
        "GIT_CONFIG_NOSYSTEM": "1",
        "LC_ALL": "C.UTF-8",
    }
    command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never", *arguments]
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except FileNotFoundError:
        raise ComposeError(
            "templates in git need the program git", code="compose.dependency", hint="apt-get install git"
        ) from None
    except subprocess.TimeoutExpired:
        raise ComposeError("git took too long", code="compose.source", retryable=True) from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith(("fatal:", "error:"))]
        reason = re.sub(r"//[^/@\s]*@", "//", lines[-1] if lines else f"status {done.returncode}")
        raise ComposeError(
            f"git failed: {reason}", code="compose.source", hint="are address and commit right?"
        )
    return done.stdout
