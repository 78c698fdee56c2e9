"""Directives: what becomes of ``$include``, ``$if`` and ``$embed``."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from templatefiles import Templates

from osbuild_core.model.errors import ResolveError
from osbuild_core.resolve import ResolveSettings, resolve

SWITCHES = "variables: {yes: true, no: false, word: bios, none: '', zero: 0}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1, {$if: yes, $then: [2, 3]}, 4]", [1, 2, 3, 4]),
        ("[1, {$if: yes, $then: 2}]", [1, 2]),
        ("[1, {$if: no, $then: 2}]", [1]),
        ("[1, {$if: no, $then: 2, $else: [3]}]", [1, 3]),
        ("[{$if: no, $else: 3}, {$if: none, $then: 1}, {$if: zero, $then: 1}]", [3]),
        ("[[1], {$if: yes, $then: [[2]]}]", [[1], [2]]),
        ("{a: {$if: no, $then: 1}, b: 2}", {"b": 2}),
        ("{a: 1, $if: yes, $then: {b: 2, a: 9}}", {"a": 1, "b": 2}),
        ("{a: 1, $if: no, $then: {b: 2}}", {"a": 1}),
        ("{$if: {yes: true, word: bios}, $then: 1, $else: 2}", 1),
        ("{$if: {yes: true, word: efi}, $then: 1, $else: 2}", 2),
        ("{$if: {yes: 1}, $then: 1, $else: 2}", 2),
        ("{$if: {word: '${word}'}, $then: 1}", 1),
        ("[{$if: yes, $then: {$if: yes, $then: [1]}}]", [1]),
        ("{$if: no, $then: '${unknown}', $else: 1}", 1),
    ],
)
def test_if(templates: Templates, text: str, expected: object) -> None:
    assert templates.value(f"{SWITCHES}x: {text}") == expected


@pytest.mark.parametrize(
    "text",
    [
        "{$if: unknown, $then: 1}",
        "{$if: yes}",
        "{$if: '${yes}', $then: 1}",
        "{$if: [yes], $then: 1}",
        "{$if: {}, $then: 1}",
        "{$if: {no: true, unknown: 1}, $then: 1}",
        "{$then: 1}",
        "{$if: yes, $then: 1, $with: {}}",
        "{$if: yes, $then: [1], a: 1}",
        "{$fi: yes}",
        "{$if: yes, $then: 1, $embed: {text: a}}",
        "{$embed: {}}",
        "{$embed: {text: a, path: b}}",
        "{$embed: {text: a, mode: 1}}",
        "{$embed: {text: 1}}",
        "{$embed: {path: absent}}",
        "{$embed: {text: a, name: 'a b'}}",
        "[{$embed: {text: a, name: n}}, {$embed: {text: b, name: n}}]",
        "{$embed: {text: '${embed.n}', name: n}}",
        "{$include: []}",
        "{$include: main.yaml, $with: 1}",
        "{$include: main.yaml, $with: {'a b': 1}}",
        "{$packages: []}",
        "{$packages: {}}",
        "{$packages: {suite: a, sweet: b}}",
        "{$packages: {suite: a, base: all}}",
        "{$packages: {suite: a, include: b}}",
        "{$packages: {suite: a, recommends: 1}}",
        "{$packages: {suite: a, repositories: [{url: b}]}}",
        "{$packages: {suite: a, repositories: [{url: 'http://b', key: absent}]}}",
        '{$packages: {suite: "a\\nURIs: b"}}',
    ],
)
def test_refused_with_its_line(templates: Templates, text: str) -> None:
    error = templates.refused(f"{SWITCHES}x: {text}")
    assert templates.where(error).startswith("main.yaml:2:")
    assert error.place[0] == "x"


def test_include_is_relative_and_spliced(templates: Templates) -> None:
    templates.write("parts/list.yaml", "- 1\n- {$include: deeper/one.yaml}\n")
    templates.write("parts/deeper/one.yaml", "{word: '${word}', more: '${more}'}")
    text = SWITCHES + "x: [0, {$include: parts/list.yaml, $with: {word: efi, more: [1]}}, '${word}']"
    assert templates.value(text) == [0, 1, {"word": "efi", "more": [1]}, "bios"]


def test_include_merges_into_a_mapping(templates: Templates) -> None:
    templates.write("map.yaml", "{a: 1, b: 1}")
    assert templates.value("x: {$include: map.yaml, b: 2}") == {"a": 1, "b": 2}


def test_included_list_spliced_but_nested_list_kept(templates: Templates) -> None:
    templates.write("empty.yaml", "")
    templates.write("list.yaml", "[[1]]")
    assert templates.value("x: [{$include: list.yaml}, {$include: empty.yaml}]") == [[1], None]


def test_unknown_variable_in_an_included_file_names_that_file(templates: Templates) -> None:
    templates.write("part.yaml", "a:\n  b: ${nothing}\n")
    assert templates.where(templates.refused("x: {$include: part.yaml}")) == "part.yaml:2:6"


def test_include_cycles(templates: Templates) -> None:
    templates.write("a.yaml", "{$include: b.yaml}")
    templates.write("b.yaml", "[{$include: ./a.yaml}]")
    assert templates.refused("x: {$include: a.yaml}").code == "resolve.include-cycle"
    templates.write("c.yaml", "$include: main.yaml")
    assert templates.refused("$include: c.yaml").code == "resolve.include-cycle"


def test_fragments_at_the_top_level(templates: Templates) -> None:
    templates.write("base.yaml", "variables: {a: 1, b: 1}\npipelines: [{name: base, a: '${a}'}]\nx: 1\ny: 1")
    templates.write(
        "more.yaml",
        "$include: base.yaml\npipelines: [{name: more, b: '${b}'}]\nsources: {s: {items: {k1: 1, k2: 1}}}",
    )
    manifest = templates.resolve(
        "$include: [base.yaml, '${file}.yaml']\nvariables: {b: 2, file: more}\nx: 2\n"
        "pipelines: [{name: own}]\nsources: {s: {items: {k2: 2}, options: {}}, t: {items: {}}}",
        a="7",
    )
    assert manifest["pipelines"] == [{"name": "base", "a": 7}, {"name": "more", "b": 2}, {"name": "own"}]
    assert manifest["sources"] == {
        "s": {"items": {"k1": 1, "k2": 2}, "options": {}},
        "t": {"items": {}},
    }
    assert (manifest["x"], manifest["y"]) == (2, 1)


def test_embedded_files(templates: Templates) -> None:
    templates.write("parts/stages.yaml", "- {refs: [{$embed: {path: data.bin, name: data}}]}\n")
    templates.write("parts/data.bin", b"\x00${word}\xff")
    manifest = templates.resolve(
        SWITCHES
        + "first: 'input://f/${embed.text}'\n"
        + "pipelines: [{name: a, stages: [{$include: parts/stages.yaml}]}]\n"
        + "refs: [{$embed: {text: 'I am ${word}', name: text}}, {$embed: {text: 'I am bios'}}]\n"
        + "both: '${embed.text} ${embed.data}'\n"
        + "sources: {org.osbuild.inline: {items: {k: {data: '', encoding: base64}}}}\n"
    )
    contents = {"text": b"I am bios", "data": b"\x00${word}\xff"}
    ids = {name: "sha256:" + hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    assert manifest["first"] == f"input://f/{ids['text']}"
    assert manifest["refs"] == [ids["text"]] * 2
    assert manifest["both"] == f"{ids['text']} {ids['data']}"
    assert manifest["pipelines"][0]["stages"] == [{"refs": [ids["data"]]}]
    items = manifest["sources"]["org.osbuild.inline"]["items"]
    assert set(items) == {"k", *ids.values()}
    assert {k: base64.b64decode(items[v]["data"]) for k, v in ids.items()} == contents


def test_without_package_sets_apt_is_not_used(templates: Templates) -> None:
    templates.resolve("pipelines: []")
    assert not (templates.directory / "state").exists()


def test_files_have_to_be_in_the_directory_that_is_said(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret").write_text("secret")
    (inside / "link").symlink_to(tmp_path / "secret")
    (inside / "file").write_text("text")
    template = inside / "template.yaml"
    for name, refused in (
        ("file", False),
        ("link", True),
        ("../secret", True),
        (str(tmp_path / "secret"), True),
    ):
        template.write_text("metadata: {x: {$embed: {path: '" + name + "'}}}\n")
        assert resolve(template)["sources"]
        if refused:
            with pytest.raises(ResolveError) as caught:
                resolve(template, settings=ResolveSettings(root=inside))
            assert caught.value.code == "resolve.file"
            assert "outside" in caught.value.detail
        else:
            assert resolve(template, settings=ResolveSettings(root=inside))["sources"]
