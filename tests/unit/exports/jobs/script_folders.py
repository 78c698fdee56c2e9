"""Folders of job-script templates, as tests need them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SCRIPT = "#!/bin/bash\necho {{ foo }} {{ data.foo }}\n"


def folder(root: Path, texts: dict[str, str] | None = None, /, **config: Any) -> Path:
    """Make a template in ``root``: its files, and what its configuration has beyond an entrypoint ``job.sh.j2``."""
    for name, text in {"job.sh.j2": SCRIPT, **(texts or {})}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, newline="")
    document = {"entrypoint": "job.sh.j2", "variables": {"foo": 1}, **config}
    (root / "job-script.json").write_text(json.dumps(document))
    return root
