"""Questions of job-script templates: which answers fit, where values come from, what Jobbergate's programs ask."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from osbuild_core.exports.jobs.scripts.answers import read_file, read_words, resolve
from osbuild_core.exports.jobs.scripts.errors import AnswerError, ScriptTemplateError
from osbuild_core.exports.jobs.scripts.questions import Question, accept, read_questions
from osbuild_core.exports.jobs.scripts.rendering import render, used_names
from osbuild_core.exports.jobs.scripts.template import read_template
from osbuild_core.model.errors import Issue, place_text
from tests.unit.exports.jobs.script_folders import folder

CHOICES = ["a", 2, {"label": "The third", "value": "c"}]


def question(**document: Any) -> Question:
    issues: list[Issue] = []
    (found,) = read_questions([{"name": "x", **document}], (), issues)
    assert issues == []
    return found


@pytest.mark.parametrize(
    ("document", "given", "value"),
    [
        ({"type": "text"}, "a b", "a b"),
        ({"type": "Text"}, 7, "7"),
        ({"type": "integer", "min": 1, "max": 8}, " 8 ", 8),
        ({"type": "Integer", "min": 1, "max": 8}, 1, 1),
        ({"type": "list", "choices": CHOICES}, "a", "a"),
        ({"type": "list", "choices": CHOICES}, "2", 2),
        ({"type": "List", "choices": CHOICES}, "The third", "c"),
        ({"type": "checkbox", "choices": CHOICES}, "a, c", ["a", "c"]),
        ({"type": "checkbox", "choices": CHOICES}, [2], [2]),
        ({"type": "checkbox", "choices": CHOICES}, "", []),
        ({"type": "confirm"}, "Yes", True),
        ({"type": "confirm"}, False, False),
        ({"type": "BooleanList"}, "n", False),
        ({"type": "directory", "exists": True}, "/", "/"),
        ({"type": "file"}, "/not/there", "/not/there"),
        ({"type": "file", "exists": True}, "/etc/passwd", "/etc/passwd"),
        ({"type": "const", "value": 3}, 3, 3),
    ],
)
def test_answers_that_fit(document: dict[str, Any], given: Any, value: Any) -> None:
    found = accept(question(**document), given)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("document", "given"),
    [
        ({"type": "text"}, ["a"]),
        ({"type": "integer", "min": 1}, "0"),
        ({"type": "integer", "max": 8}, 9),
        ({"type": "integer"}, "1.5"),
        ({"type": "integer"}, True),
        ({"type": "list", "choices": CHOICES}, "d"),
        ({"type": "checkbox", "choices": CHOICES}, "a,d"),
        ({"type": "confirm"}, "perhaps"),
        ({"type": "directory", "exists": True}, "/etc/passwd"),
        ({"type": "file", "exists": True}, "/"),
        ({"type": "file"}, ""),
        ({"type": "const", "value": 3}, 4),
    ],
)
def test_answers_that_do_not(document: dict[str, Any], given: Any) -> None:
    with pytest.raises(AnswerError) as caught:
        accept(question(**document), given)
    assert (caught.value.code, caught.value.detail.startswith("x: ")) == ("script.answer", True)


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ("x", "questions"),
        ([7], "questions[0]"),
        ([{"name": "a b"}], "questions[0].name"),
        ([{"type": "text"}], "questions[0].name"),
        ([{"name": "data"}], "questions[0].name"),
        ([{"name": "x", "type": "txet"}], "questions[0].type"),
        ([{"name": "x", "min": 1}], "questions[0].min"),
        ([{"name": "x", "type": "integer", "min": "1"}], "questions[0].min"),
        ([{"name": "x", "type": "integer", "min": 1, "default": 0}], "questions[0].default"),
        ([{"name": "x", "type": "list"}], "questions[0].choices"),
        ([{"name": "x", "type": "const"}], "questions[0].value"),
        (
            [{"name": "x", "type": "boolean-list", "when-true": [{"name": ""}]}],
            "questions[0].when-true[0].name",
        ),
        ([{"name": "x"}, {"name": "x"}], "questions"),
    ],
)
def test_questions_that_are_none(tmp_path: Path, document: Any, place: str) -> None:
    with pytest.raises(ScriptTemplateError) as caught:
        read_template(folder(tmp_path, questions=document))
    assert place_text(caught.value.issues[0].path) == place


QUESTIONS = [
    {"name": "nodes", "type": "integer", "min": 1, "default": 2},
    {"name": "queue", "message": "Which queue?"},
    {
        "name": "gpu",
        "type": "boolean-list",
        "default": False,
        "when-true": [{"name": "gpus", "type": "integer", "default": 1}],
        "when-false": [{"name": "cores", "type": "integer", "default": 4}],
    },
    {"name": "kind", "type": "const", "value": "batch"},
]


def test_where_values_come_from(tmp_path: Path) -> None:
    variables = {"label": "x", "ratio": 0.5, "debug": False, "count": 1, "tags": ["a"]}
    template = read_template(folder(tmp_path, variables=variables, questions=QUESTIONS))
    defaults = resolve(template, {}, {"queue": "ci"})
    assert defaults == {**variables, "nodes": 2, "queue": "ci", "gpu": False, "cores": 4, "kind": "batch"}
    words = read_words(["label=1", "ratio=2", "debug=yes", "count=7", 'tags=["b"]', "queue=a=b", "gpu=y"])
    given = resolve(template, {"nodes": 3, "label": "file"}, words)
    assert given["label"] == "1"
    assert (given["ratio"], given["debug"], given["count"], given["tags"]) == (2, True, 7, ["b"])
    assert (given["nodes"], given["queue"], given["gpu"], given["gpus"]) == (3, "a=b", True, 1)
    assert "cores" not in given
    asked: list[str] = []

    def ask(question: Question) -> Any:
        asked.append(question.name)
        return {"gpu": True}.get(question.name, question.default)

    resolve(template, {"nodes": 1}, {}, ask=ask)
    assert asked == ["queue", "gpu", "gpus"]


@pytest.mark.parametrize(
    ("given", "words", "code"),
    [
        ({}, {}, "script.unanswered"),
        ({"queue": "ci", "nodse": 1}, {}, "script.unknown-variable"),
        ({}, {"quue": "ci"}, "script.unknown-variable"),
        ({"queue": "ci", "nodes": 0}, {}, "script.answer"),
        ({"queue": "ci"}, {"gpu": "maybe"}, "script.answer"),
        ({"queue": "ci"}, {"foo": "x"}, "script.answer"),
        ({"queue": "ci", "kind": "other"}, {}, "script.answer"),
    ],
)
def test_refused_values(tmp_path: Path, given: dict[str, Any], words: dict[str, str], code: str) -> None:
    template = read_template(folder(tmp_path, questions=QUESTIONS))
    with pytest.raises(AnswerError) as caught:
        resolve(template, given, words)
    assert caught.value.code == code
    assert caught.value.hint or code == "script.answer"


def test_files_of_answers(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"data": {"queue": "ci"}}))
    (tmp_path / "b.yaml").write_text("queue: ci\nn: 2\n")
    assert read_file(tmp_path / "a.json") == {"queue": "ci"}
    assert read_file(tmp_path / "b.yaml") == {"queue": "ci", "n": 2}
    with pytest.raises(AnswerError):
        read_words(["queue"])


JOBBERGATE_YAML = """
application_config:
  partition: debug
jobbergate_config:
  default_template: job.sh.j2
  output_directory: .
  supporting_files: [templates/input.txt.j2]
  supporting_files_output_name:
    input.txt: [one.txt, sub/two.txt]
"""
JOBBERGATE_PY = """
from jobbergate_cli.subapps.applications.application_base import JobbergateApplicationBase
from jobbergate_cli.subapps.applications.questions import *
import not_installed

class JobbergateApplication(JobbergateApplicationBase):
    def mainflow(self, data=None):
        questions = [
            Text("jobname", message="Name?", default="sim"),
            Integer(variablename="nodes", message="Nodes?", minval=1, maxval=4, default=2),
            List("what", message="What?", choices=[("Debug it", "debug"), "run"], default="run"),
            BooleanList("gpu", message="GPU?", default=True, whentrue=[Integer("gpus", "How many?", default=1)]),
            Directory("scratch", message="Where?", exists=False, default="/tmp"),
            Const("fixed", default="yes"),
            Text("computed", message="Now", default=data["x"]),
        ]
        for name in data["names"]:
            questions.append(Text(name, message=name))
        return questions
"""


def test_an_application_of_jobbergate(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "jobbergate.yaml").write_text(JOBBERGATE_YAML)
    (tmp_path / "jobbergate.py").write_text(JOBBERGATE_PY)
    (tmp_path / "templates/job.sh.j2").write_text(
        "#!/bin/bash\n#SBATCH -J {{ data.jobname }} -p {{ partition }}\necho {{ data.what }} {{ extra }}\n"
    )
    (tmp_path / "templates/input.txt.j2").write_text("{{ gpus }} {{ data.fixed }}\n")
    template = read_template(tmp_path)
    assert [note.partition(": ")[0] for note in template.notes] == [
        f"{tmp_path}/jobbergate.py:{line}" for line in (15, 18)
    ]
    values = resolve(template, {"extra": "x"}, {"what": "Debug it"}, used=used_names(template))
    assert {str(file.path): file.content.decode() for file in render(template, values)} == {
        "job.sh": "#!/bin/bash\n#SBATCH -J sim -p debug\necho debug x\n",
        "one.txt": "1 yes\n",
        "sub/two.txt": "1 yes\n",
    }


def test_one_of_jobbergate_without_a_default_template(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "jobbergate.yaml").write_text("jobbergate_config: {}\napplication_config: {foo: 1}\n")
    (tmp_path / "templates/only.sh.j2").write_text("#!/bin/sh\necho {{ foo }}\n")
    template = read_template(tmp_path)
    assert str(template.entrypoint.source) == "templates/only.sh.j2"
    (tmp_path / "templates/another.sh.j2").write_text("#!/bin/sh\n")
    with pytest.raises(ScriptTemplateError) as caught:
        read_template(tmp_path)
    assert caught.value.issues[0].code == "script.entrypoint"
    (tmp_path / "jobbergate.py").write_text("def f(:\n")
    with pytest.raises(ScriptTemplateError) as caught:
        read_template(tmp_path)
    assert any("jobbergate.py:1:" in issue.message for issue in caught.value.issues)
