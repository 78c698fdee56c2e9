"""The process that removes what nobody has used for long. Run as ``python -m osbuild_core.server.tidy_task``."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from osbuild_core.exports.compose import fetch
from osbuild_core.model.errors import OsbuildError, StoreError
from osbuild_core.server.namespaces import die_with_parent, nobody

if TYPE_CHECKING:
    from osbuild_core.server.tidying import TidyTask
    from osbuild_core.store.store import Store


def main() -> int:
    """Do the task that standard input has; say on standard output how many bytes were freed, or what is wrong."""
    die_with_parent()
    task: TidyTask = json.loads(sys.stdin.read())
    # Composes and builds come first.
    os.nice(10)
    try:
        if task["confine"] is not None:
            nobody(task["confine"])
            # That was forgotten with the change of users.
            die_with_parent()
        said: dict[str, object] = {"indexes": _indexes(task), "store": _store(task)}
    except OsbuildError as error:
        said = {"failed": f"{error.detail} ({error.hint})" if error.hint else error.detail}
    except OSError as error:
        said = {"failed": str(error)}
    print(json.dumps(said), flush=True)
    return 0


def _indexes(task: TidyTask) -> int:
    from osbuild_core.resolve import aptstate

    top = Path(task["indexes"])
    aptstate.drop_unused(top / "apt", min(task["indexes_before"], task["recent"]))
    return fetch.drop_unused(
        top / "rpmmd", task["indexes_before"], max_size=task["indexes_bytes"], recent=task["recent"]
    )


def _store(task: TidyTask) -> int:
    from osbuild_core.store.store import Store

    if task["store"] is None:
        return 0
    try:
        store = Store.open(Path(task["store"]), create=False)
    except StoreError as error:
        if error.code == "store.none":
            return 0
        raise
    with store:
        shared = _used_by_composes(store)
        size = task["store_bytes"]
        return store.collect(
            unused_since=task["store_before"], max_size=None if size is None else size + shared
        ).freed


def _used_by_composes(store: Store) -> int:
    """Note that source files are used that have other names, as those of composes have; return their bytes.

    Nothing would be freed by removing them.
    """
    size = 0
    for file in store.sources.files():
        try:
            status = os.lstat(file.path)
            if status.st_nlink > 1 and not file.path.is_dir():
                os.utime(file.path, ns=(time.time_ns(), status.st_mtime_ns), follow_symlinks=False)
                size += file.size
        except FileNotFoundError:
            continue
    return size


if __name__ == "__main__":
    sys.exit(main())
