"""From a plan to the files of a form."""

from __future__ import annotations

from typing import Any

from osbuild_core.exports.jobs.planned.openjd import openjd_template
from osbuild_core.exports.jobs.planned.settings import PlannedSettings
from osbuild_core.exports.jobs.planned.shell import shell_script
from osbuild_core.exports.jobs.planned.slurm import slurm_files
from osbuild_core.exports.jobs.planned.steps import steps_of
from osbuild_core.exports.jobs.planned.text import manifest_text
from osbuild_core.model.plan import Plan

FORMS = {"sh": "build.sh", "slurm": None, "openjd": "template.json"}
"""The forms, and what the file of each is called; None for one that is a directory."""


def write_plan(form: str, plan: Plan, document: Any, settings: PlannedSettings) -> dict[str, str]:
    """Return ``plan`` in ``form`` (one of :data:`FORMS`): the texts of files by name, scripts ending in ``.sh``.

    ``document`` is the JSON of the manifest that the plan is of. Raises KeyError for a form that there is not.
    """
    name = FORMS[form]
    steps, manifest = steps_of(plan), manifest_text(document)
    if name is None:
        return slurm_files(steps, manifest, settings)
    write = shell_script if form == "sh" else openjd_template
    return {name: write(steps, manifest, settings)}
