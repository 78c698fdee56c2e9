"""Parameters of sbatch in a script: where sbatch reads them, and where more are put.

sbatch reads lines that begin with ``#SBATCH``, from the start of the script to the first line that is neither blank
nor begins with ``#``; of two for one option, the later one wins (sbatch(1)).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

TITLE = "# Parameters of sbatch, added when this was rendered"

_INDENTED = re.compile(r"[ \t]+#SBATCH\b")


def inject(script: str, parameters: Sequence[str], title: str = TITLE) -> str:
    """Return ``script`` with ``parameters`` where sbatch reads them, after those that it has, so that they win.

    An indented ``#SBATCH``, which sbatch takes for the end of all, is moved to the start of its line. What follows
    the first command is left as it is.
    """
    lines = script.splitlines(keepends=True)
    position = 1 if lines and lines[0].startswith("#!") else 0
    for index, line in enumerate(lines):
        if _INDENTED.match(line):
            lines[index] = line.lstrip(" \t")
        elif line.strip() and not line.startswith("#"):
            break
        if lines[index].startswith("#SBATCH"):
            position = index + 1
    if not parameters:
        return "".join(lines)
    ending = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    if position and not lines[position - 1].endswith("\n"):
        lines[position - 1] += ending
    lines[position:position] = [
        f"{line}{ending}" for line in (title, *(f"#SBATCH {one}" for one in parameters))
    ]
    return "".join(lines)
