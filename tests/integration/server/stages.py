"""A library with stages for tests of the service: one that sleeps, and one that prints a lot."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.server.running import ROOT

SLEEPER = r"""#!/usr/bin/python3
import sys
import time
import osbuild.api

if __name__ == "__main__":
    osbuild.api.arguments()
    print("asleep <script>alert(1)</script>\x1b[31m red\x1b[0m", flush=True)
    time.sleep(120)
    sys.exit(0)
"""
TALKER = r"""#!/usr/bin/python3
import sys
import osbuild.api

if __name__ == "__main__":
    lines = osbuild.api.arguments()["options"]["lines"]
    for number in range(lines):
        sys.stdout.write("line %d %s\n" % (number, "x" * 90))
    print("that was the last line", flush=True)
    sys.exit(0)
"""
STAGES = {
    "org.osbuild.sleeper": (SLEEPER, {}),
    "org.osbuild.talker": (TALKER, {"properties": {"lines": {"type": "number"}}}),
}


def library(directory: Path) -> Path:
    """Return a new library directory with these stages and all other modules."""
    made = directory / "library"
    (made / "stages").mkdir(parents=True)
    for name, (text, options) in STAGES.items():
        stage = made / "stages" / name
        stage.write_text(text)
        stage.chmod(0o755)
        meta = {"summary": name, "description": [], "capabilities": [], "schema_2": {"options": options}}
        stage.with_name(f"{name}.meta.json").write_text(json.dumps(meta))
    for known in (ROOT / "stages").iterdir():
        (made / "stages" / known.name).symlink_to(known)
    for folder in ("runners", "inputs", "sources", "devices", "mounts", "assemblers", "exports"):
        (made / folder).symlink_to(ROOT / folder)
    return made
