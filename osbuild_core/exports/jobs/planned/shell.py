"""A plan as one shell script (POSIX), which carries its manifest with it."""

from __future__ import annotations

from itertools import groupby

from osbuild_core.exports.jobs.planned.settings import PlannedSettings
from osbuild_core.exports.jobs.planned.steps import Step, one_line
from osbuild_core.exports.jobs.planned.text import END, made_by, quoted

_HEAD = """\
#!/bin/sh
# Builds {name}: {count} steps. {made_by}
#
# Needs osbuild-core, and root. Words that it is called with go to each "osbuild-core build". From the environment:
#   OSBUILD_CORE        the command, perhaps with words before it: sudo -E osbuild-core
#   OSBUILD_CORE_STORE  directory of the object store, in which all steps work
#   JOBS                steps at once, of those that do not need each other
#   OUTPUT_DIRECTORY    where exports go
set -eu
: "${{OSBUILD_CORE:={program}}}"
: "${{OSBUILD_CORE_STORE:={store}}}"
: "${{JOBS:=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)}}"
: "${{OUTPUT_DIRECTORY:=output}}"
export OSBUILD_CORE_STORE

folder=$(mktemp -d "${{TMPDIR:-/tmp}}/osbuild-core-plan-XXXXXX")
running=0
pids=

# Ends what runs, waits for it, and leaves nothing behind.
leave() {{
  trap '' HUP INT TERM
  # Unquoted: words.
  [ -z "$pids" ] || kill -TERM $pids 2>/dev/null || :
  wait || :
  rm -rf "$folder"
  exit "$1"
}}
trap 'leave 129' HUP
trap 'leave 130' INT
trap 'leave 143' TERM

# begin LABEL WORD...: starts a step, once there is room for one more.
begin() {{
  while [ "$running" -ge "$JOBS" ]; do next; done
  shift
  $OSBUILD_CORE build "$folder/manifest.json"{words} "$@" &
  pids="$pids $!"
  running=$((running + 1))
}}

# Waits for the step that was started first of those that run.
next() {{
  set -- $pids
  first=$1
  shift
  status=0
  wait "$first" || status=$?
  pids="$*"
  running=$((running - 1))
  [ "$status" -eq 0 ] || leave "$status"
}}

# Waits for all that runs: what comes next needs some of it.
finish() {{
  while [ "$running" -gt 0 ]; do next; done
}}

cat >"$folder/manifest.json" <<'{end}'
{manifest}{end}
"""


def shell_script(steps: tuple[Step, ...], manifest: str, settings: PlannedSettings) -> str:
    """Return the script that runs ``steps`` on one machine, side by side as far as they allow.

    ``manifest`` is the text of :func:`~osbuild_core.exports.jobs.planned.text.manifest_text`.
    """
    words = [word for library in settings.libraries for word in ("--libdir", library)]
    if settings.remote_cache is not None:
        words += ["--remote-cache", settings.remote_cache]
    lines = [
        _HEAD.format(
            name=one_line(settings.name),
            count=len(steps),
            made_by=made_by("sh"),
            program=in_default(settings.program),
            store=in_default(settings.store or ".osbuild"),
            words=f" {quoted(words)}" if words else "",
            end=END,
            manifest=manifest,
        )
    ]
    for _, group in groupby(sorted(steps, key=lambda step: step.level), key=lambda step: step.level):
        for step in group:
            output = ' --output-directory "$OUTPUT_DIRECTORY"' if step.output else ""
            lines.append(f'begin {step.label} {quoted(step.words)}{output} "$@"\n')
        lines.append("finish\n\n")
    lines.append("leave 0\n")
    return "".join(lines)


def in_default(text: str) -> str:
    """Return ``text`` for a place between ``"${NAME:=`` and ``}"``, where it stands for itself."""
    return "".join(f"\\{c}" if c in '\\"$`}' else c for c in text)
