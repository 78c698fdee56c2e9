"""The steps of a plan, which every form writes in its own way: a pipeline each, and the exports at the end."""

from __future__ import annotations

import re
from typing import NamedTuple

from osbuild_core.model.plan import Plan

LONGEST_LABEL = 40
"""Characters of a pipeline's name that go into a label."""

EXPORTS = "exports"


class Step(NamedTuple):
    """``label`` is unique in the plan and fit for file names and schedulers. ``words`` go after
    ``build MANIFEST``; ``needs`` are the labels of the steps before it. ``level`` is the longest way from the
    start: steps of one level do not need each other. ``title`` says in words what it does. ``output`` tells
    that it writes exports, so that it needs a directory."""

    label: str
    title: str
    words: tuple[str, ...]
    needs: tuple[str, ...] = ()
    level: int = 0
    output: bool = False


def steps_of(plan: Plan) -> tuple[Step, ...]:
    """Return the steps of ``plan``, each after what it needs: every pipeline that has stages to run, then the
    exports, together."""
    steps: dict[str, Step] = {}
    width = len(str(len(plan.todo) + 1))
    for number, planned in enumerate(plan.todo, start=1):
        needs = [steps[name] for name in planned.pipelines]
        steps[planned.name] = Step(
            f"{number:0{width}}-{plain(planned.name)}",
            f"the pipeline {one_line(planned.name)}",
            pipeline_words(planned.name),
            tuple(step.label for step in needs),
            1 + max((step.level for step in needs), default=-1),
        )
    made = list(steps.values())
    if plan.exports:
        names = dict.fromkeys(name for name, _, _ in plan.exports)
        needs = [steps[p] for p in dict.fromkeys(pipeline for _, pipeline, _ in plan.exports) if p in steps]
        made.append(
            Step(
                f"{len(made) + 1:0{width}}-{EXPORTS}",
                f"the exports {', '.join(map(one_line, names))}",
                tuple(word for name in names for word in ("--export", name)),
                tuple(step.label for step in needs),
                1 + max((step.level for step in needs), default=-1),
                output=True,
            )
        )
    return tuple(made)


def pipeline_words(name: str) -> tuple[str, ...]:
    """Return the options of ``osbuild-core build`` that build one pipeline and what it needs."""
    return ("--pipeline", name)


def plain(name: str) -> str:
    """Return ``name`` with what every file system and every scheduler takes; perhaps empty of sense, never empty."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:LONGEST_LABEL].strip("-.") or "pipeline"


def one_line(text: str) -> str:
    """Return ``text`` for a comment: printable, on one line, and not too long."""
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"
