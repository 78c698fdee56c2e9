"""Writes docs/modules.md from the metadata of the modules. ``make docs``; a test holds the page to it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "modules.md"
KINDS = ("stages", "inputs", "sources", "devices", "mounts", "assemblers", "exports")

HEAD = """# Modules

What comes with the program, from the modules' own metadata (`make docs` writes this page). Options in **bold** are
required. `osbuild-core modules list` shows what a library has.
"""


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for kind in KINDS:
        parts.append(f"\n## {kind.capitalize()}\n")
        for meta in sorted((ROOT / kind).glob("*.meta.json")):
            parts += module(meta)
    runners = sorted(path.name for path in (ROOT / "runners").iterdir() if path.is_file())
    parts.append("\n## Runners\n\n" + "".join(f"* `{name}`\n" for name in runners))
    return "".join(parts)


def module(path: Path) -> Iterator[str]:
    """Yield the section of one module."""
    meta = json.loads(path.read_text())
    yield f"\n### {path.name.removesuffix('.meta.json')}\n\n{meta['summary']}.\n"
    description = meta.get("description", [])
    text = "\n".join(description) if isinstance(description, list) else description
    if text.strip():
        yield f"\n{text.strip()}\n"
    rows = list(options(option_schema(meta, path.parent.name)))
    if rows:
        yield "\n| option | type | |\n|---|---|---|\n"
        yield from rows


def option_schema(meta: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the schema of a module's options, in whichever form it has one."""
    schema = meta.get("schema_2") or meta.get("schema") or {}
    if kind in ("stages", "assemblers"):
        return schema.get("options", schema) if "schema_2" in meta else schema
    if kind == "mounts":
        found: dict[str, Any] = schema.get("properties", {}).get("options", {})
        return found
    return schema if kind in ("devices", "exports") else {}


def options(schema: dict[str, Any]) -> Iterator[str]:
    """Yield a table row for each option."""
    required = set(schema.get("required", ()))
    for name, one in schema.get("properties", {}).items():
        shown = f"**`{name}`**" if name in required else f"`{name}`"
        about = " ".join(str(one.get("description", "")).split()).replace("|", "\\|")
        if "enum" in one:
            about += " One of " + ", ".join(f"`{value}`" for value in one["enum"]) + "."
        if "default" in one:
            about += f" Default: `{json.dumps(one['default'])}`."
        yield f"| {shown} | {one.get('type', '')} | {about.strip()} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.exit(0)
