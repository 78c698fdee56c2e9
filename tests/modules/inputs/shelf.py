"""A store for the tests of inputs: trees and sources are plain directories."""

from pathlib import Path
from typing import Any


class Shelf:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.shown: list[tuple[str, str, str]] = []
        self.sources = root / "sources"
        self.sources.mkdir()
        (root / "target").mkdir()

    def read_tree(self, object_id: str) -> Path:
        return self.root / object_id

    def read_tree_at(self, object_id: str, target: str, subtree: str) -> str:
        self.shown.append((object_id, target, subtree))
        return target

    def mkdtemp(self, suffix: str | None, prefix: str | None) -> Path:
        raise NotImplementedError

    def source(self, name: str) -> Path:
        assert name == "org.osbuild.files"
        return self.sources


def request(root: Path, origin: str, refs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``map``."""
    api = {"store": str(root / "socket")}
    return {"origin": origin, "refs": refs, "target": str(root / "target"), "options": {}, "api": api}
