"""Job scripts: Open Job Description 2023-09 templates, the jobs made of them, and what runs those.

The names of openjd-model and openjd-sessions, imported when they are first used: a check of a template should
not wait for what runs one.
"""

from __future__ import annotations

import importlib

_PLACES = {
    "create": ("create_job",),
    "decode": ("decode_any_template", "decode_environment_template", "decode_job_template"),
    "definitions": ("JobParameterDefinition",),
    "dependencies": ("StepDependencyGraph", "StepDependencyGraphNode"),
    "document": ("parse_document", "read_document"),
    "errors": (
        "CompatibilityError",
        "DecodeValidationError",
        "ExpressionError",
        "FormatStringError",
        "ParameterError",
    ),
    "formatstring": ("FormatString",),
    "job": (
        "Action",
        "Environment",
        "Job",
        "JobParameterValues",
        "ParameterValue",
        "ParameterValueType",
        "Step",
        "StepParameterSpace",
        "StepScript",
        "TaskParameterSet",
        "model_to_object",
    ),
    "log": ("LOG", "LogContent"),
    "parameters": ("merge_job_parameter_definitions", "preprocess_job_parameters"),
    "pathmapping": ("PathFormat", "PathMappingRule"),
    "rangeexpr": ("IntRangeExpr",),
    "session": ("Session",),
    "space": ("StepParameterSpaceIterator",),
    "status": ("ActionState", "ActionStatus", "SessionState"),
    "template": ("EnvironmentTemplate", "JobTemplate"),
    "users": ("PosixSessionUser", "SessionUser"),
}
"""Where the public names are."""

_MODULES = {name: module for module, names in _PLACES.items() for name in names}
__all__ = sorted(_MODULES)  # noqa: PLE0605


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
