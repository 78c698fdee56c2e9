"""The script of a job: ``osbuild-core build`` for one pipeline, and what ends it when nobody wants it any more."""

from __future__ import annotations

from collections.abc import Sequence

from osbuild_core.exports.jobs.planned.text import quoted

ATTEMPT = "attempt"
"""File in the job's directory: the attempt whose results count, as ``JOB.RESTARTS``."""

CANCELLED = "cancelled-"
"""What the name of a file begins with that says that a job is not wanted any more; its id follows."""

ALIVE = "alive"
"""File in the directory of the run whose content changes as long as the run goes on."""

EVENTS = "events-{}.jsonl"
"""The events of an attempt."""

SCRIPT = "job.sh"
LOG = "job.log"
MANIFEST = "manifest.json"

_TEXT = """\
#!/bin/sh
# A job of a build that osbuild-core has on this cluster: it builds one pipeline. Runs in its directory of the run,
# which the nodes share; its store is the node's own.
set -u
cd -- {directory} || exit 1
job=${{SLURM_ARRAY_JOB_ID:+${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID}}
job=${{job:-${{SLURM_JOB_ID:?}}}}
attempt=$job.${{SLURM_RESTART_COUNT:-0}}
node=${{SLURMD_NODENAME:-$(uname -n)}}

# Several attempts may be under way, where a node was lost and is not dead. Only the last one counts.
[ ! -e "{cancelled}$job" ] || exit 0
echo "$attempt" >"{attempt}.$attempt" && mv "{attempt}.$attempt" {attempt} || exit 1

store={store}
mkdir -p "$(dirname -- "$store")" || exit 1
{command} --store "$store" --events "events-$attempt.jsonl" --fence "$PWD/{attempt}:$attempt" &
build=$!
trap 'kill -TERM "$build" 2>/dev/null' TERM INT HUP

# Ends the build when it was cancelled, when another attempt has taken over, or when the run has gone.
watch() {{
  nap=
  trap 'kill "$nap" 2>/dev/null; exit' TERM
  beat=
  missed=0
  while :; do
    sleep {beat} &
    nap=$!
    wait "$nap"
    why=
    if [ -e "{cancelled}$job" ] || [ ! -e {attempt} ]; then
      why="it was cancelled"
    elif [ "$(cat {attempt})" != "$attempt" ]; then
      why="another attempt has taken over"
    else
      now=$(cat ../{alive} 2>/dev/null) || now=
      if [ -n "$now" ] && [ "$now" != "$beat" ]; then
        beat=$now
        missed=0
      else
        missed=$((missed + 1))
        [ "$missed" -lt {missed} ] || why="what submitted it shows no sign of life"
      fi
    fi
    if [ -n "$why" ]; then
      echo "job $job ends: $why" >&2
      kill -TERM "$build" 2>/dev/null
      return
    fi
  done
}}
watch &
watch=$!

status=0
wait "$build" || status=$?
# A signal ends the waiting, not the build.
while kill -0 "$build" 2>/dev/null; do
  status=0
  wait "$build" || status=$?
done
kill "$watch" 2>/dev/null
exit "$status"
"""


def job_script(
    directory: str, command: str, store: str, words: Sequence[str], *, beat: float, lost: float
) -> str:
    """Return the script.

    ``directory`` is where it runs, ``command`` what calls osbuild-core there, ``store`` the path of the node's
    store with ``%N`` for the node's name, ``words`` the arguments of ``build``. ``beat`` is how often (in
    seconds) it looks whether it is still wanted, ``lost`` after how long without a sign of life it is not.
    """
    return _TEXT.format(
        directory=quoted([directory]),
        command=f"{command} build {quoted(words)}",
        store='"$node"'.join(quoted([part]) if part else "" for part in store.split("%N")),
        beat=f"{beat:g}",
        missed=max(2, round(lost / beat)),
        attempt=ATTEMPT,
        cancelled=CANCELLED,
        alive=ALIVE,
    )
