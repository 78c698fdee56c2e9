"""Whatever a configuration says: it is a template, or refused in our words; never a traceback."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from osbuild_core.exports.jobs.scripts.answers import resolve
from osbuild_core.exports.jobs.scripts.rendering import render, used_names
from osbuild_core.exports.jobs.scripts.template import read_template
from osbuild_core.model.errors import OsbuildError

WORDS = st.sampled_from(
    [
        "job.sh.j2",
        "b",
        "..",
        "/etc/passwd",
        "foo",
        "",
        "\0",
        "a\nb",
        "--x",
        "--t={{ foo }}",
        "{{ foo }}",
        "\ud800",
    ]
)
KINDS = st.sampled_from(
    ["text", "integer", "list", "checkbox", "const", "boolean-list", "file", "Confirm", "x"]
)
LEAF = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(), WORDS)
KEYS = st.sampled_from(
    "name type message default min max exists choices when-true when-false value label entrypoint files output-names"
    " variables sbatch questions default_template supporting_files supporting_files_output_name template_files"
    " job_script_name foo b".split()
)
TREE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
QUESTION = st.fixed_dictionaries(
    {"name": st.just("foo") | WORDS, "type": KINDS},
    optional={
        "default": LEAF,
        "min": LEAF,
        "max": LEAF,
        "choices": st.lists(LEAF, max_size=3),
        "when-true": TREE,
    },
)
OURS = st.fixed_dictionaries(
    {"entrypoint": st.just("job.sh.j2") | LEAF},
    optional={
        "files": st.lists(WORDS, max_size=2) | TREE,
        "output-names": TREE,
        "variables": st.dictionaries(KEYS, TREE, max_size=3),
        "sbatch": st.lists(WORDS, max_size=2) | TREE,
        "questions": st.lists(QUESTION, max_size=3) | TREE,
    },
)
JOBBERGATE = st.fixed_dictionaries(
    {"jobbergate_config": st.dictionaries(KEYS, TREE, max_size=4)}, optional={"application_config": TREE}
)


@settings(max_examples=150, deadline=None)
@given(st.tuples(st.just("job-script.json"), OURS) | st.tuples(st.just("jobbergate.yaml"), JOBBERGATE))
def test_any_configuration(case: tuple[str, Any]) -> None:
    name, document = case
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "job.sh.j2").write_text("#!/bin/bash\necho {{ foo }}\n")
        (root / "b").write_text("x")
        (root / name).write_text(json.dumps(document))
        with contextlib.suppress(OsbuildError):
            template = read_template(root)
            files = render(template, resolve(template, {}, {}, used=used_names(template)))
            assert [file.is_entrypoint for file in files].count(True) == 1
