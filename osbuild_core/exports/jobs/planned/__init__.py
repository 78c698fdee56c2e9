"""A plan as something that others run: a shell script, Slurm job scripts, an Open Job Description template.

All forms build the manifest that the plan was made of, pipeline by pipeline, with ``osbuild-core build``; they are
pure functions of plan, manifest and settings, and give the texts of files by name.
"""

from __future__ import annotations

from osbuild_core.exports.jobs.planned.settings import PlannedSettings, Resources
from osbuild_core.exports.jobs.planned.write import FORMS, write_plan

__all__ = ["FORMS", "PlannedSettings", "Resources", "write_plan"]
