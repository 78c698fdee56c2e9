"""Runs the shell blocks of a page as its reader would: one shell, one directory, from the top to the bottom.

``console`` has commands after ``$ `` (continued after ``> ``) and what they print, ``sh`` is a script, of which
only the status counts, ``python`` is a program. Where output varies, the page has ``...``: within a line for any
text, alone on a line for any lines. Times (``0.3 s``) and the keys that ``plan`` shows need no dots. The
directory is shown as ``/srv/images``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from tests.docs.pages import Block

DIRECTORY = "/srv/images"
RUN = ("console", "sh", "python")
_SECONDS = 120


class Command(NamedTuple):
    """One thing to run: a script, what it has to print (None: anything), and its exit status (None: any)."""

    place: str
    script: str
    printed: str | None
    status: int | None


def commands_of(block: Block) -> Iterator[Command]:
    """Yield the commands of a block."""
    status = int(block.markers.get("status", "0"))
    if block.language == "sh":
        yield Command(block.place, block.text, None, status)
        return
    if block.language == "python":
        yield Command(block.place, f"python3 - <<'END OF PYTHON'\n{block.text}END OF PYTHON\n", None, status)
        return
    commands: list[tuple[int, list[str], list[str]]] = []
    for offset, line in enumerate(block.text.splitlines(), start=1):
        if line.startswith("$ "):
            commands.append((block.line + offset, [line[2:]], []))
        elif not commands:
            raise ValueError(f"{block.place}: a console block begins with a command")
        elif line.startswith("> ") and not commands[-1][2]:
            commands[-1][1].append(line[2:])
        else:
            commands[-1][2].append(line)
    for index, (number, script, printed) in enumerate(commands):
        is_last = index + 1 == len(commands)
        # Who prints the status expects it.
        asked = not is_last and commands[index + 1][1] == ["echo $?"]
        expected = None if asked else status if is_last else 0
        place = f"{block.place.rpartition(':')[0]}:{number}"
        yield Command(place, "\n".join(script) + "\n", "".join(f"{line}\n" for line in printed), expected)


def run_page(
    blocks: Sequence[Block], directory: Path, environment: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Run the shell blocks among ``blocks`` in ``directory``/page. Raises AssertionError with the first surprise.

    ``environment`` is for what a page needs beyond the program: where a service is, say.
    """
    home, scripts = directory / "page", directory / "scripts"
    for folder in (home, scripts, directory / "tmp"):
        folder.mkdir()
    driver, commands = _driver(blocks, home, scripts)
    done = subprocess.run(
        ["bash", str(driver)],
        cwd=home,
        env={**_environment(home), **environment},
        stdout=subprocess.PIPE,
        timeout=_SECONDS,
    )
    # Output and status in turn; a script that fails in the middle of a block is the last that says anything.
    parts = done.stdout.decode(errors="replace").replace(str(home), DIRECTORY).split("\0")
    for index, command in enumerate(commands):
        printed = parts[2 * index] if 2 * index < len(parts) else ""
        ended = int(parts[2 * index + 1]) if 2 * index + 1 < len(parts) else done.returncode or 1
        what = f"{command.place}: {command.script}"
        assert command.status in (None, ended), f"{what}\nstatus {ended}, printed:\n{printed}"
        if command.printed is not None:
            assert matches(command.printed, printed), (
                f"{what}\nexpected:\n{command.printed}\nprinted:\n{printed}"
            )


def _driver(blocks: Sequence[Block], home: Path, scripts: Path) -> tuple[Path, list[Command]]:
    """Write the script that runs everything, below ``scripts``; return it and what it runs."""
    commands: list[Command] = []
    lines = ["exec 2>&1 </dev/null"]
    for block in blocks:
        if "not run" in block.markers:
            continue
        if "file" in block.markers:
            content = scripts / f"file-{block.line}"
            content.write_text(block.text)
            target = home / block.markers["file"]
            # Written when its turn comes, and into the file that may be there, as an editor does.
            lines.append(f"mkdir -p '{target.parent}' && cat '{content}' >'{target}'")
        elif block.language in RUN:
            for command in commands_of(block):
                script = scripts / f"{len(commands)}.sh"
                script.write_text(command.script)
                lines += [
                    "set -e" if block.language == "sh" else "",
                    f". '{script}'",
                    "__status=$?; set +e",
                    r"printf '\0%d\0' $__status; (exit $__status)",
                ]
                commands.append(command)
    driver = scripts / "driver.sh"
    driver.write_text("\n".join(lines) + "\n")
    return driver, commands


def _environment(home: Path) -> dict[str, str]:
    programs = Path(sys.executable).parent
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("XDG_", "LC_")) or name in ("LANG", "USER")
    }
    return {
        **kept,
        "HOME": str(home.parent),
        "TMPDIR": str(home.parent / "tmp"),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "COLUMNS": "100",
        "TERM": "dumb",
    }


def matches(expected: str, printed: str) -> bool:
    """Tell whether ``printed`` is what a page says."""
    pattern = ""
    for line in _steady(expected).splitlines():
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(re.escape(part) for part in line.split("...")) + r"\n"
    text = _steady(printed)
    return re.fullmatch(pattern, text if text.endswith("\n") or not text else text + "\n") is not None


def _steady(text: str) -> str:
    """Return ``text`` without what every run has differently."""
    text = re.sub(r"\b\d+\.\d s\b", "0.0 s", text)
    return re.sub(r"\bkey [0-9a-f]{12}\b", "key 0", text)
