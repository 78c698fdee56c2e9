"""What repositories say of their packages, carried over into ours, where that is less work than to read the packages.

A repository's metadata have an entry for each package, under the checksum that the package is fetched by. The stage
org.osbuild.createrepo takes these entries instead of making them anew. They are believed as far as the repository is:
a request that wants signatures of certain keys believes packages only, so its metadata are made of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from osbuild_core.exports.compose.addresses import check_address
from osbuild_core.exports.compose.fetch import Fetcher
from osbuild_core.exports.compose.rpmmd import MetadataFile, Repository
from osbuild_core.exports.compose.rpmpackage import RpmPackage

KINDS = ("primary", "filelists", "other")
STAGE = "org.osbuild.createrepo"
NAME = "carried"
"""The option of the stage and its input."""

# Bytes of metadata that are unpacked and searched in the time in which createrepo_c reads a package. An estimate; by
# a factor of two either way it matters little.
_PACKAGE = 70_000


def worthwhile(
    packages: Sequence[RpmPackage], repositories: Mapping[str, Repository], fetcher: Fetcher
) -> list[dict[str, MetadataFile]]:
    """Return the files, by kind, of those ``repositories`` (by URL) whose entries are to be carried over.

    Raises ComposeError ``compose.source`` for files that a repository says are where it may not send us.
    """
    found = []
    for url in dict.fromkeys(package.repo for package in packages):
        own = [
            package for package in packages if package.repo == url and package.checksum.startswith("sha256:")
        ]
        files = _files(repositories.get(url))
        if files is None:
            continue
        size = sum(file.open_size or 0 for file in files.values())
        if size < _PACKAGE * len(own):
            for file in files.values():
                check_address(file.address, fetcher.allowed)
            found.append(files)
    return found


def _files(repository: Repository | None) -> dict[str, MetadataFile] | None:
    """Return the files of a repository that has all of them, with their sizes."""
    if repository is None:
        return None
    files = {kind: repository.files[kind] for kind in KINDS if kind in repository.files}
    return files if len(files) == len(KINDS) and all(file.open_size for file in files.values()) else None


def without(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``manifest`` with nothing that is carried over: all is made of the packages."""
    dropped = checksums(manifest)
    pipelines = [
        {**pipeline, "stages": [_plain(stage) for stage in pipeline.get("stages", ())]}
        for pipeline in manifest["pipelines"]
    ]
    sources = {
        name: {**source, "items": {key: item for key, item in source["items"].items() if key not in dropped}}
        for name, source in manifest["sources"].items()
    }
    return {**manifest, "pipelines": pipelines, "sources": sources}


def checksums(manifest: Mapping[str, Any]) -> frozenset[str]:
    """Return the checksums of the files of metadata that ``manifest`` carries over from."""
    return frozenset(
        checksum
        for pipeline in manifest["pipelines"]
        for stage in pipeline.get("stages", ())
        if stage["type"] == STAGE
        for files in stage.get("options", {}).get(NAME, ())
        for checksum in files.values()
    )


def _plain(stage: Mapping[str, Any]) -> Mapping[str, Any]:
    if stage["type"] != STAGE:
        return stage
    return {
        **stage,
        **{
            part: {name: value for name, value in stage[part].items() if name != NAME}
            for part in ("options", "inputs")
            if part in stage
        },
    }
