"""A plan as a job template of Open Job Description 2023-09."""

from __future__ import annotations

import json
from typing import Any

from osbuild_core.exports.jobs.planned.settings import PlannedSettings
from osbuild_core.exports.jobs.planned.steps import Step, one_line
from osbuild_core.exports.jobs.planned.text import made_by, quoted

_SHOW = 'printf "openjd_env: OSBUILD_CORE_MANIFEST=%s\\n" "$1"'
_RUN = """\
program=$1 OSBUILD_CORE_STORE=$2 cache=$3 output=$4
export OSBUILD_CORE_STORE
eval "set -- $5"
exec $program build "$OSBUILD_CORE_MANIFEST" ${cache:+--remote-cache "$cache"} \\
  ${output:+--output-directory "$output"} "$@"
"""

_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64"}
"""``uname -m`` in the words of the specification (How Jobs Are Constructed, attr.worker.cpu.arch)."""

STORE = "/var/tmp/osbuild-core"


def openjd_template(steps: tuple[Step, ...], manifest: str, settings: PlannedSettings) -> str:
    """Return the template as JSON: a step of the job for each of ``steps``, the manifest in an environment."""
    parameters: list[dict[str, Any]] = [
        {"name": "Program", "type": "STRING", "default": settings.program, "description": "osbuild-core"},
        {
            "name": "Store",
            "type": "STRING",
            "default": settings.store or STORE,
            "description": "Directory of the object store, on the host's own file system.",
        },
        {
            "name": "RemoteCache",
            "type": "STRING",
            "default": settings.remote_cache or "",
            "description": "URL of the cache that hosts share; needed where there are several.",
        },
    ]
    if any(step.output for step in steps):
        parameters.append(
            {"name": "OutputDirectory", "type": "STRING", "minLength": 1, "description": "Where exports go."}
        )
    template = {
        "specificationVersion": "jobtemplate-2023-09",
        "name": _name(settings.name),
        "description": f"{len(steps)} steps. {made_by('openjd')}",
        "parameterDefinitions": parameters,
        "jobEnvironments": [_environment(manifest)],
        "steps": [_step(step, settings) for step in steps],
    }
    return json.dumps(template, indent=2) + "\n"


def _name(name: str) -> str:
    """Return ``name`` as a job's: no format string, 128 characters at most."""
    return one_line(name).replace("{{", "{ {").replace("}}", "} }")[:128]


def _environment(manifest: str) -> dict[str, Any]:
    """Return the environment that has the manifest: once for each session, not for each step."""
    return {
        "name": "Manifest",
        "script": {
            "actions": {
                "onEnter": {"command": "sh", "args": ["-c", _SHOW, "sh", "{{Env.File.Manifest}}"]},
            },
            "embeddedFiles": [
                {"name": "Manifest", "type": "TEXT", "filename": "manifest.json", "data": manifest}
            ],
        },
    }


def _step(step: Step, settings: PlannedSettings) -> dict[str, Any]:
    words = [word for library in settings.libraries for word in ("--libdir", library)]
    output = "{{Param.OutputDirectory}}" if step.output else ""
    args = ["-c", _RUN, "sh", "{{Param.Program}}", "{{Param.Store}}", "{{Param.RemoteCache}}", output]
    made: dict[str, Any] = {"name": step.label, "description": step.title}
    if step.needs:
        made["dependencies"] = [{"dependsOn": label} for label in step.needs]
    made["hostRequirements"] = _requirements(settings)
    # A step begins what a sandbox ends: it is to get the time for that.
    cancelation = {"mode": "NOTIFY_THEN_TERMINATE"}
    run = {"command": "sh", "args": [*args, _words([*words, *step.words])], "cancelation": cancelation}
    made["script"] = {"actions": {"onRun": run}}
    return made


def _words(words: list[str]) -> str:
    """Return ``words`` for eval, as a format string that stands for itself: a pair of braces is in quotes."""
    text = quoted(words)
    for pair, apart in (("{{", "{''{"), ("}}", "}''}")):
        while pair in text:
            text = text.replace(pair, apart)
    return text


def _requirements(settings: PlannedSettings) -> dict[str, Any]:
    amounts = [
        {"name": name, "min": value}
        for name, value in (
            ("amount.worker.vcpu", settings.resources.cpus),
            ("amount.worker.memory", settings.resources.mebibytes),
        )
        if value is not None
    ]
    attributes = [{"name": "attr.worker.os.family", "anyOf": ["linux"]}]
    architecture = _ARCHITECTURES.get(settings.architecture)
    if architecture:
        attributes.append({"name": "attr.worker.cpu.arch", "anyOf": [architecture]})
    return {**({"amounts": amounts} if amounts else {}), "attributes": attributes}
