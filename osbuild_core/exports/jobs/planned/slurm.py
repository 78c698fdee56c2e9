"""A plan as Slurm job scripts: one for each step, and one that submits them with their dependencies."""

from __future__ import annotations

from osbuild_core.exports.jobs.planned.settings import PlannedSettings
from osbuild_core.exports.jobs.planned.shell import in_default
from osbuild_core.exports.jobs.planned.steps import Step, one_line
from osbuild_core.exports.jobs.planned.text import made_by, quoted

MANIFEST = "manifest.json"
SUBMIT = "submit.sh"

_JOB = """\
#!/bin/sh
{directives}
# {title}. {made_by}
# Runs where it was submitted, on a file system that the nodes share. Its store is the node's own.
set -eu
: "${{OSBUILD_CORE:={program}}}"
: "${{OSBUILD_CORE_STORE:={store}}}"
: "${{OSBUILD_CORE_REMOTE_CACHE:={cache}}}"
: "${{OUTPUT_DIRECTORY:=output}}"
export OSBUILD_CORE_STORE
exec $OSBUILD_CORE build {manifest}{libraries} --remote-cache "$OSBUILD_CORE_REMOTE_CACHE" {words}
"""

_SUBMIT = """\
#!/bin/sh
# Submits {name}: {count} jobs, each after those that it needs. {made_by}
#
# Prints the ids of the jobs. What else sbatch is to be told goes into its variables: SBATCH_PARTITION, ...
# A job that cannot run any more, since one that it needs has failed, is cancelled by Slurm.
set -eu
cd -- "$(dirname -- "$0")"
{cache}submitted=

# Half of a build is of no use.
undo() {{
  # Unquoted: words.
  [ -z "$submitted" ] || scancel $submitted
}}
trap 'undo; exit 130' INT
trap 'undo; exit 143' TERM HUP

# submit FILE ID...: sets id to that of the job that runs FILE after those.
submit() {{
  file=$1
  shift
  after=
  for needed in "$@"; do after="$after:$needed"; done
  id=$(sbatch --parsable ${{after:+"--dependency=afterok$after"}} --kill-on-invalid-dep=yes "$file") || {{
    status=$?
    undo
    exit "$status"
  }}
  id=${{id%%;*}}
  submitted="$submitted $id"
  echo "$id $file"
}}

"""

STORE = "/var/tmp/osbuild-core/${SLURMD_NODENAME:-$(uname -n)}"
"""The store of a job unless it is told: one for each node, also where nodes share ``/var/tmp``."""


def slurm_files(steps: tuple[Step, ...], manifest: str, settings: PlannedSettings) -> dict[str, str]:
    """Return the files of a directory, by name: ``submit.sh``, the manifest, a job script for each of ``steps``."""
    files = {MANIFEST: manifest}
    files |= {_file(step.label): _job(step, settings) for step in steps}
    cache = (
        '[ -n "${OSBUILD_CORE_REMOTE_CACHE:-}" ] || mkdir -p cache\n' if settings.remote_cache is None else ""
    )
    lines = [
        _SUBMIT.format(name=one_line(settings.name), count=len(steps), made_by=made_by("slurm"), cache=cache)
    ]
    # Not by label: those are no names for a shell.
    numbers = {step.label: number for number, step in enumerate(steps, start=1)}
    for step in steps:
        after = "".join(f' "$job{numbers[label]}"' for label in step.needs)
        lines.append(f"submit {_file(step.label)}{after}\njob{numbers[step.label]}=$id\n")
    files[SUBMIT] = "".join(lines)
    return files


def _file(label: str) -> str:
    return f"{label}.sh"


def _job(step: Step, settings: PlannedSettings) -> str:
    output = ' --output-directory "$OUTPUT_DIRECTORY"' if step.output else ""
    libraries = [word for library in settings.libraries for word in ("--libdir", library)]
    return _JOB.format(
        directives="\n".join(f"#SBATCH {line}" for line in _directives(step, settings)),
        title=step.title[0].upper() + step.title[1:],
        made_by=made_by("slurm"),
        program=in_default(settings.program),
        store=STORE if settings.store is None else in_default(settings.store),
        cache="file://$PWD/cache" if settings.remote_cache is None else in_default(settings.remote_cache),
        manifest=MANIFEST,
        libraries=f" {quoted(libraries)}" if libraries else "",
        words=quoted(step.words) + output,
    )


def _directives(step: Step, settings: PlannedSettings) -> list[str]:
    # A job that is started anew finds what its stages have made in the store or the cache.
    lines = [f"--job-name={step.label}", f"--output={step.label}-%j.log", "--requeue"]
    if settings.resources.cpus is not None:
        lines.append(f"--cpus-per-task={settings.resources.cpus}")
    if settings.resources.mebibytes is not None:
        lines.append(f"--mem={settings.resources.mebibytes}M")
    return lines
