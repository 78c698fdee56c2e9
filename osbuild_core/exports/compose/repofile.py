"""The file of a compose that package managers read: ``.repo`` for dnf, ``.sources`` for apt."""

from __future__ import annotations

from collections.abc import Sequence


def repo_file(name: str, repo_url: str, *, debug: bool = True, source: bool = True) -> str:
    """Return the ``.repo`` of a compose whose trees are below ``repo_url`` (ODCS 0.9.2, backend.py)."""
    text = _section(name, f"ODCS repository for compose {name}", f"{repo_url}/$basearch/os", True)
    if debug:
        title = f"ODCS repository for compose {name} - debuginfo"
        text += "\n" + _section(f"{name}-debuginfo", title, f"{repo_url}/$basearch/debug/tree", False)
    if source:
        title = f"ODCS repository for compose {name} - source"
        text += "\n" + _section(f"{name}-source", title, f"{repo_url}/source/tree", False)
    return text


def content_set_section(name: str, title: str, url: str) -> str:
    """Return the section of a repository that is elsewhere."""
    return _section(name, title, url, True)


def _section(name: str, title: str, url: str, enabled: bool) -> str:
    return (
        f"[{name}]\nname={title}\nbaseurl={url}\ntype=rpm-md\nskip_if_unavailable=False\ngpgcheck=0\n"
        f"repo_gpgcheck=0\nenabled={int(enabled)}\nenabled_metadata=1\n"
    )


def sources_file(
    url: str,
    suite: str,
    components: Sequence[str],
    architectures: Sequence[str],
    key: str | None,
    *,
    sources: bool = False,
) -> str:
    """Return the ``.sources`` of a Debian compose; ``key`` is armored (None: it is not signed). With ``sources`` it
    has source packages as well."""
    types = "deb deb-src" if sources else "deb"
    lines = [
        *(f"Types: {types}", f"URIs: {url}", f"Suites: {suite}", f"Components: {' '.join(components)}"),
        f"Architectures: {' '.join(architectures)}",
    ]
    if key is None:
        lines.append("Trusted: yes")
    else:
        lines.append("Signed-By:")
        lines += [f" {line.strip() or '.'}" for line in key.strip().splitlines()]
    return "\n".join(lines) + "\n"
