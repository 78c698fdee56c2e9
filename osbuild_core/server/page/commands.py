"""Command lines that do what a page shows, to be copied into a shell. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from osbuild_core.exports.compose.vocabulary import MULTILIB, SourceType, names

_LISTS = {
    "packages": "--package",
    "builds": "--build",
    "flags": "--flag",
    "arches": "--arch",
    "multilib_arches": "--multilib-arch",
    "lookaside_repos": "--lookaside-repo",
    "results": "--result",
}


def same_compose(document: Mapping[str, Any]) -> str:
    """Return the command that asks for the same as a compose, as its document has it."""
    words = ["osbuild-core", "compose", "create", SourceType(document["source_type"]).name]
    if document["source"]:
        words.append(document["source"])
    for name, option in _LISTS.items():
        value = document[name] or ()
        for one in value.split() if isinstance(value, str) else value:
            if (name, one) != ("results", "repository"):
                words += [option, one]
    for method in names(document["multilib_method"] or 0, MULTILIB):
        words += ["--multilib-method", method]
    if document["sigkeys"]:
        for key in document["sigkeys"].split(" "):
            words += ["--sigkey", key]
    if document["label"]:
        words += ["--label", document["label"]]
    if document["compose_type"] != "test":
        words += ["--compose-type", document["compose_type"]]
    if document["target_dir"] != "default":
        words += ["--target-dir", document["target_dir"]]
    return shlex.join(words)


def address(base: str) -> str:
    """Return the command that tells the others where the service is."""
    return f"export OSBUILD_CORE_SERVER={shlex.quote(base + '/')}"


def curl(url: str, *options: str, token: bool) -> str:
    """Return a call of curl(1). ``token``: with the one in the environment, which no list of processes shows."""
    # The shell's own printf writes it: curl reads its configuration from standard input.
    words = ["curl", "-fsS", *options, url]
    if not token:
        return shlex.join(words)
    secret = """printf 'header = "Authorization: Bearer %s"\\n' "$OSBUILD_CORE_TOKEN" | """
    return secret + shlex.join([words[0], "-K", "-", *words[1:]])
