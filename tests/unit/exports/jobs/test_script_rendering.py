"""Job-script templates: what is rendered, where parameters of sbatch go, what is refused and where it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osbuild_core.exports.jobs.scripts.errors import RenderError, ScriptTemplateError
from osbuild_core.exports.jobs.scripts.rendering import render, used_names
from osbuild_core.exports.jobs.scripts.sbatch import TITLE as TITLE_LINE
from osbuild_core.exports.jobs.scripts.sbatch import inject
from osbuild_core.exports.jobs.scripts.template import LARGEST, read_template
from osbuild_core.exports.jobs.scripts.writing import write
from osbuild_core.model.errors import OsbuildError, UsageError
from tests.unit.exports.jobs.script_folders import folder

HEAD = "#!/bin/bash\n"


def rendered(root: Path, values: dict[str, Any] | None = None, *parameters: str) -> dict[str, str]:
    template = read_template(root)
    files = render(template, {**template.variables, **(values or {})}, parameters)
    return {str(file.path): file.content.decode() for file in files}


def refusal(root: Path, values: dict[str, Any] | None = None) -> tuple[str, str]:
    with pytest.raises(RenderError) as caught:
        rendered(root, values)
    (issue,) = caught.value.issues
    return issue.code, issue.message


def test_both_forms_of_a_variable(tmp_path: Path) -> None:
    assert rendered(folder(tmp_path), {"foo": "x y"}) == {"job.sh": HEAD + "echo x y x y\n"}


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("{{ nope }}", "script.undefined", "'nope' is undefined"),
        ("{{ data.nope }}", "script.undefined", "'dict object' has no attribute 'nope'"),
        ("{{ foo.x.y }}", "script.undefined", "'int object' has no attribute 'x'"),
        ("{% if nope %}x{% endif %}", "script.undefined", "'nope' is undefined"),
        ("{{ 1 / 0 }}", "script.render", "ZeroDivisionError: division by zero"),
        ("{% include 'other' %}", "script.file", "there is no file other"),
        ("{% include '../other' %}", "script.file", "../other is not below the template's folder"),
        ("{{ ''.__class__.__mro__ }}", "script.unsafe", "access to attribute '__class__'"),
        ("{{ 'a' * 99999999 }}", "script.size", "a product in it is too large"),
        ("{{ 9 ** (9 ** 9) }}", "script.size", "a power in it is too large"),
        ("{% for %}", "script.syntax", "Expected an expression"),
        ("{% if x %}", "script.syntax", "Unexpected end of template"),
    ],
)
def test_what_is_wrong_in_a_template_has_its_line(tmp_path: Path, line: str, code: str, message: str) -> None:
    root = folder(tmp_path, {"job.sh.j2": f"{HEAD}# {{{{ foo }}}}\n: {line}\n"})
    found = refusal(root)
    assert found[0] == code
    assert found[1].startswith(f"job.sh.j2:3: {message}")


def test_a_template_without_an_end(tmp_path: Path) -> None:
    root = folder(tmp_path, {"job.sh.j2": HEAD + "{% for i in range(90000) %}{{ 'a' * 90 }}{% endfor %}"})
    assert refusal(root) == ("script.size", f"job.sh.j2: it becomes larger than {LARGEST} bytes")


def test_the_line_is_that_of_the_file_which_is_included(tmp_path: Path) -> None:
    files = {"job.sh.j2": HEAD + "\n\n{% include 'parts/x.j2' %}\n", "parts/x.j2": "\n{{ nope }}\n"}
    code, message = refusal(folder(tmp_path, files))
    assert code == "script.undefined"
    assert message.startswith("job.sh.j2:4: 'nope'")


def test_every_file_s_error_is_told_at_once(tmp_path: Path) -> None:
    files = {"job.sh.j2": HEAD + "{{ a }}\n", "x.txt.j2": "{{ b }}", "y.py": "def f(:\n"}
    with pytest.raises(RenderError) as caught:
        rendered(folder(tmp_path, files, files=["x.txt.j2", "y.py"]))
    assert [issue.message.partition(": ")[0] for issue in caught.value.issues] == [
        *("job.sh.j2:2", "x.txt.j2:1", "y.py:1")
    ]


def test_one_template_cannot_change_the_values_of_the_next(tmp_path: Path) -> None:
    files = {"job.sh.j2": HEAD + "# {{ l.append(4) }}{{ l }}\n", "x.j2": "{{ l }}"}
    found = rendered(folder(tmp_path, files, files=["x.j2"], variables={"l": [1]}))
    assert found == {"job.sh": HEAD + "# None[1, 4]\n", "x": "[1]"}


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("a.py", "def f(:\n", "a.py:1"),
        ("a.yaml", "a: [1\nb: 2\n", "a.yaml:2"),
        ("a.yml", "a: b: c\n", "a.yml:1"),
        ("a.json", '{"a": 1,\n}\n', "a.json:2"),
        ("a.sh", "if true; then\n", "a.sh:2"),
        ("b.bash", "echo\n)\n", "b.bash:2"),
    ],
)
def test_files_are_checked(tmp_path: Path, name: str, text: str, place: str) -> None:
    code, message = refusal(folder(tmp_path, {name: text}, files=[name]))
    assert (code, message.partition(": ")[0]) == ("script.syntax", place)


def test_scripts_are_checked_by_their_interpreter_and_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    root = folder(tmp_path / "t", {"job": f"#!/bin/sh\ntouch {mark}\ndone\n"}, entrypoint="job")
    assert refusal(root)[1].startswith("job:3: it is not shell")
    assert not mark.exists()
    python = folder(tmp_path / "p", {"job": "#!/usr/bin/env python3\nprint('x'\n"}, entrypoint="job")
    assert rendered(python)["job"].endswith("print('x'\n")
    (python / "job").write_text("echo\n")
    assert refusal(python)[0] == "script.interpreter"
    (python / "job").write_bytes(b"#!/bin/sh\r\necho\r\n")
    assert refusal(python)[0] == "script.encoding"


def test_what_is_no_template_is_kept_byte_for_byte(tmp_path: Path) -> None:
    root = folder(tmp_path, files=["data.bin", "tool"])
    (root / "data.bin").write_bytes(b"\xff\0{{ foo }}\r\n")
    (root / "tool").write_text("#!/bin/sh\n")
    (root / "tool").chmod(0o700)
    template = read_template(root)
    files = {str(file.path): file for file in render(template, template.variables)}
    assert files["data.bin"].content == b"\xff\0{{ foo }}\r\n"
    assert [files[name].mode for name in ("job.sh", "data.bin", "tool")] == [0o755, 0o644, 0o755]


def test_names_that_are_used(tmp_path: Path) -> None:
    files = {"job.sh.j2": HEAD + "{{ a }}{{ data.b.c }}{% set d = 1 %}{{ d }}\n"}
    template = read_template(folder(tmp_path, files, sbatch=["--time={{ minutes }}"]))
    assert used_names(template) == {"a", "b", "minutes"}


PARAMETERS = ["-n 4", "--time=5"]
TITLE = "# T\n"
ADDED = "#SBATCH -n 4\n#SBATCH --time=5\n"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (HEAD + "echo\n", HEAD + TITLE + ADDED + "echo\n"),
        (HEAD + "#SBATCH -n 1\n\n# x\necho\n", HEAD + "#SBATCH -n 1\n" + TITLE + ADDED + "\n# x\necho\n"),
        (HEAD + "# only a comment", HEAD + TITLE + ADDED + "# only a comment"),
        (HEAD + "#SBATCH -n 1", HEAD + "#SBATCH -n 1\n" + TITLE + ADDED),
        ("#!/bin/sh", "#!/bin/sh\n" + TITLE + ADDED),
        (HEAD + "  #SBATCH -n 1\necho\n", HEAD + "#SBATCH -n 1\n" + TITLE + ADDED + "echo\n"),
        (
            HEAD + "\n\t#SBATCH -n 1\n#SBATCH -n 2\necho\n",
            HEAD + "\n#SBATCH -n 1\n#SBATCH -n 2\n" + TITLE + ADDED + "echo\n",
        ),
        (
            HEAD + "echo\n#SBATCH -n 9\n #SBATCH x\n",
            HEAD + TITLE + ADDED + "echo\n#SBATCH -n 9\n #SBATCH x\n",
        ),
        ("#!/bin/sh\r\n:\r\n", "#!/bin/sh\r\n# T\r\n#SBATCH -n 4\r\n#SBATCH --time=5\r\n:\r\n"),
        ("", TITLE + ADDED),
    ],
)
def test_parameters_go_where_sbatch_reads_them(script: str, expected: str) -> None:
    assert inject(script, PARAMETERS, "# T") == expected


def read(script: str) -> list[str]:
    """Return the parameters that sbatch reads, as sbatch(1) says it does."""
    found = []
    for line in script.split("\n"):
        if line.startswith("#SBATCH"):
            found.append(line.removeprefix("#SBATCH").strip())
        elif line.strip() and not line.startswith("#"):
            break
    return found


LINES = st.sampled_from(
    ["#SBATCH -a", "  #SBATCH -b", "\t#SBATCH -c", "# x", "", "  ", "echo", " # y", "#SBATCHING"]
)


@given(
    st.lists(LINES, max_size=8),
    st.booleans(),
    st.booleans(),
    st.lists(st.sampled_from(PARAMETERS), max_size=2),
)
def test_sbatch_reads_what_is_added_last_of_all(
    lines: list[str], has_interpreter: bool, has_end: bool, parameters: list[str]
) -> None:
    script = "\n".join([*(["#!/bin/sh"] if has_interpreter else []), *lines]) + ("\n" if has_end else "")
    plain, added = inject(script, []), inject(script, parameters)
    assert read(added) == read(plain) + parameters
    assert read(plain)[: len(read(script))] == read(script)
    # Nothing of the script is lost: only the indentation of parameters.
    kept = [line for line in added.splitlines() if not line.startswith(TITLE_LINE)]
    for one in parameters:
        kept.remove(f"#SBATCH {one}")
    assert [line.strip() for line in kept] == [line.strip() for line in script.splitlines()]
    assert inject(added, []) == added


def test_without_parameters_only_the_indented_move() -> None:
    assert inject(HEAD + "echo\n", []) == HEAD + "echo\n"
    assert inject(HEAD + " #SBATCH -n 1\n", []) == HEAD + "#SBATCH -n 1\n"


def test_parameters_of_a_template(tmp_path: Path) -> None:
    root = folder(tmp_path, sbatch={"time": "{{ foo }}", "exclusive": True, "comment": "a b", "x": False})
    script = rendered(root, {"foo": 7}, "--mem=10")["job.sh"]
    lines = [line for line in script.splitlines() if line.startswith("#SBATCH")]
    assert lines == [
        "#SBATCH --time=7",
        "#SBATCH --exclusive",
        "#SBATCH '--comment=a b'",
        "#SBATCH --mem=10",
    ] or (lines == ["#SBATCH --time=7", "#SBATCH --exclusive", "#SBATCH --comment='a b'", "#SBATCH --mem=10"])
    listed = folder(tmp_path / "2", sbatch=["{% if foo %}x{% endif %}"])
    with pytest.raises(ScriptTemplateError):
        read_template(listed)
    empty = folder(tmp_path / "3", sbatch=["--time={{ nope }}"])
    assert refusal(empty)[1].startswith("sbatch[0]:1: 'nope' is undefined")


@pytest.mark.parametrize(
    ("config", "code", "place"),
    [
        ({"entrypoint": None}, "script.entrypoint", "entrypoint"),
        ({"entrypoint": ["job.sh.j2", "b"]}, "script.entrypoint", "entrypoint"),
        ({"files": ["job.sh.j2"]}, "script.entrypoint", "files[0]"),
        ({"entrypoint": "nope"}, "script.file", "entrypoint"),
        ({"files": ["../x"]}, "script.file", "files[0]"),
        ({"files": ["link"]}, "script.file", "files[0]"),
        ({"files": ["large"]}, "script.file", "files[0]"),
        ({"files": "x"}, "script.file", "files"),
        ({"output-names": {"job.sh.j2": "../x"}}, "script.output", "output-names.job.sh.j2"),
        ({"output-names": {"job.sh.j2": "/x"}}, "script.output", "output-names.job.sh.j2"),
        ({"output-names": {"job.sh.j2": ["a", "b"]}}, "script.entrypoint", "output-names.job.sh.j2"),
        ({"output-names": {"nope": "a"}}, "script.file", "output-names.nope"),
        ({"files": ["other"], "output-names": {"other": "job.sh"}}, "script.output", ""),
        ({"variables": [1]}, "script.key", "variables"),
        ({"variables": {"a-b": 1}}, "script.variable", "variables.a-b"),
        ({"variables": {"data": 1}}, "script.variable", "variables.data"),
        ({"sbatch": "x"}, "script.sbatch", "sbatch"),
        ({"sbatch": ["time=1"]}, "script.sbatch", "sbatch[0]"),
        ({"sbatch": ["--a\n--b"]}, "script.sbatch", "sbatch[0]"),
        ({"questoins": []}, "script.key", "questoins"),
    ],
)
def test_refused_configurations(tmp_path: Path, config: dict[str, Any], code: str, place: str) -> None:
    from osbuild_core.model.errors import place_text

    root = folder(tmp_path / "t", {"other": ""}, **config)
    (tmp_path / "outside").write_text("secret")
    (root / "link").symlink_to(tmp_path / "outside")
    with (root / "large").open("wb") as file:
        file.truncate(LARGEST + 1)
    with pytest.raises(ScriptTemplateError) as caught:
        read_template(root)
    assert (caught.value.issues[0].code, place_text(caught.value.issues[0].path)) == (code, place)


def test_no_template(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nope"):
        with pytest.raises(UsageError) as caught:
            read_template(path)
        assert caught.value.code == "usage.script-template"


def test_output_names_and_writing(tmp_path: Path) -> None:
    names = {"job.sh.j2": "bin/run.sh", "templates/in.txt.j2": ["a.txt", "sub/b.txt"]}
    root = folder(
        tmp_path / "t",
        {"templates/in.txt.j2": "{{ foo }}\n"},
        files=["templates/in.txt.j2"],
        **{"output-names": names},
    )
    template = read_template(root)
    files = render(template, template.variables)
    out = tmp_path / "out"
    paths = write(files, out)
    assert paths[0] == out / "bin/run.sh"
    assert sorted(path.relative_to(out).as_posix() for path in paths) == ["a.txt", "bin/run.sh", "sub/b.txt"]
    assert os.access(paths[0], os.X_OK)
    # The same again is no change; another content is somebody's.
    write(files, out)
    (out / "a.txt").write_text("edited")
    with pytest.raises(UsageError) as caught:
        write(files, out)
    assert caught.value.code == "usage.output"
    write(files, out, force=True)
    assert (out / "a.txt").read_text() == "1\n"
    assert len(list(out.rglob("*"))) == 5


def test_nothing_is_written_outside_or_halfway(tmp_path: Path) -> None:
    root = folder(
        tmp_path / "t", {"b.txt": "b"}, files=["b.txt"], **{"output-names": {"b.txt": "link/b.txt"}}
    )
    template = read_template(root)
    files = render(template, template.variables)
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "link").symlink_to(elsewhere)
    with pytest.raises(UsageError) as caught:
        write(files, out, force=True)
    assert caught.value.code == "usage.output"
    assert [path.name for path in out.iterdir()] == ["link"]
    assert list(elsewhere.iterdir()) == []
    # A link in the place of a file is replaced, what it leads to is left alone.
    (out / "link").unlink()
    (elsewhere / "x").write_text("mine")
    (out / "job.sh").symlink_to(elsewhere / "x")
    write(files, out, force=True)
    assert (elsewhere / "x").read_text() == "mine"
    with pytest.raises(OsbuildError):
        write(files, out / "job.sh")
