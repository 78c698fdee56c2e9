"""Plans and keys are pure: they follow from the manifest, the digests and what the store has."""

from __future__ import annotations

import pytest

from osbuild_core.catalog.library import Library, default_library
from osbuild_core.engine.keys import Digests, manifest_keys
from osbuild_core.engine.plan import checkpoints, export_targets, known_pipelines, leaves, make_plan
from osbuild_core.formats import load
from osbuild_core.model.errors import UsageError

SUMS = [f"sha256:{n:064x}" for n in range(4)]

DIGESTS = Digests(
    module=lambda kind, name: f"{kind}/{name}",
    runner=lambda name: f"runner {name}",
    sdk="sdk",
    architecture="x86_64",
    host="host",
)


def files(*sums: str):
    return {"f": {"type": "org.osbuild.files", "origin": "org.osbuild.source", "references": list(sums)}}


def tree(name: str):
    return {
        "t": {"type": "org.osbuild.tree", "origin": "org.osbuild.pipeline", "references": [f"name:{name}"]}
    }


def noop(n: int, **more):
    return {"type": "org.osbuild.noop", "options": {"n": n}, **more}


def document():
    return {
        "version": "2",
        "pipelines": [
            {
                "name": "build",
                "runner": "org.osbuild.linux",
                "stages": [noop(1, inputs=files(SUMS[0])), noop(2)],
            },
            {"name": "os", "build": "name:build", "stages": [noop(3, inputs=files(*SUMS[:2])), noop(4)]},
            {
                "name": "image",
                "build": "name:build",
                "stages": [noop(5), noop(6, inputs=tree("os")), noop(7)],
            },
            {"name": "other", "stages": [noop(8)]},
        ],
        "sources": {"org.osbuild.curl": {"items": {s: f"http://localhost/{s}" for s in SUMS}}},
    }


@pytest.fixture(scope="module")
def library():
    return Library(default_library())


@pytest.fixture
def manifest(library):
    return load(document(), library)


def planned(manifest, present=(), digests=DIGESTS, **arguments):
    keys = manifest_keys(manifest, digests)
    have = {keys.stages[name][index] for name, index in present}
    arguments.setdefault("pipelines", leaves(manifest))
    return make_plan(manifest, keys, has=have.__contains__, **arguments)


def todo(plan):
    return {p.name: [s.number for s in p.todo] for p in plan.pipelines if p.todo}


def test_everything_is_built_in_an_order_that_works(manifest):
    plan = planned(manifest)
    assert [p.name for p in plan.pipelines] == ["build", "os", "image", "other"]
    assert todo(plan) == {"build": [0, 1], "os": [0, 1], "image": [0, 1, 2], "other": [0]}
    assert plan.pipeline("image").pipelines == ("build", "os")
    assert dict(plan.pipeline("image").trees) == {manifest["os"].id: plan.pipeline("os").key}
    assert plan.pipeline("image").build_key == plan.pipeline("build").key
    assert plan.pipeline("other").build_key is None


def test_items_are_fetched_once_for_the_first_that_needs_them(manifest):
    plan = planned(manifest)
    assert [fetch.checksums for fetch in plan.fetches] == [(SUMS[0],), (SUMS[1],)]
    assert plan.pipeline("build").fetches == (0,)
    assert plan.pipeline("os").fetches == (0, 1)
    assert plan.pipeline("image").fetches == ()


def test_what_is_in_the_store_needs_neither_its_items_nor_its_dependencies(manifest):
    plan = planned(manifest, [("os", 1), ("build", 1)])
    assert todo(plan) == {"image": [0, 1, 2], "other": [0]}
    assert plan.fetches == ()
    assert [p.name for p in plan.pipelines] == ["build", "os", "image", "other"]
    plan = planned(manifest, [("image", 2), ("other", 0)])
    assert todo(plan) == {}
    assert [p.name for p in plan.pipelines] == ["image", "other"]


def test_a_pipeline_goes_on_from_its_newest_stored_stage(manifest):
    plan = planned(manifest, [("image", 1), ("build", 1)], pipelines=["image"])
    assert todo(plan) == {"image": [2]}
    assert plan.pipeline("image").base == plan.pipeline("image").stages[1].key
    assert "os" not in [p.name for p in plan.pipelines]


def test_leaves_and_targets(manifest):
    assert leaves(manifest) == ["image", "other"]
    assert [t[:2] for t in export_targets(manifest, ["os", manifest["image"].id])] == [
        ("os", "os"),
        ("image", "image"),
    ]
    with pytest.raises(UsageError) as caught:
        export_targets(manifest, ["imaeg"])
    assert caught.value.code == "usage.unknown-export"
    assert "image" in caught.value.hint


def test_checkpoints_are_names_ids_types_and_globs(manifest):
    assert checkpoints(manifest, ["os"]) == {manifest["os"].id}
    first = manifest["build"].stages[0].id
    assert checkpoints(manifest, [first]) == {first}
    assert len(checkpoints(manifest, ["org.osbuild.n*"])) == 8
    with pytest.raises(UsageError) as caught:
        checkpoints(manifest, ["os", "nothing*"])
    assert caught.value.code == "usage.unknown-checkpoint"


def keys_of(library, change=None, digests=DIGESTS):
    changed = document()
    if change:
        change(changed)
    return manifest_keys(load(changed, library), digests).stages


def differing(before, after):
    return {
        (n, i) for n in before for i, (a, b) in enumerate(zip(before[n], after[n], strict=True)) if a != b
    }


def test_an_option_changes_its_stage_and_what_follows(library):
    def late(d):
        d["pipelines"][2]["stages"][1]["options"]["n"] = 60

    def early(d):
        d["pipelines"][1]["stages"][1]["options"]["n"] = 40

    before = keys_of(library)
    assert differing(before, keys_of(library, late)) == {("image", 1), ("image", 2)}
    assert differing(before, keys_of(library, early)) == {("os", 1), ("image", 1), ("image", 2)}


def test_the_code_of_a_module_changes_the_stages_that_use_it(library):
    edited = DIGESTS._replace(
        module=lambda kind, name: f"{kind}/{name}" + ("!" if kind == "inputs" and "tree" in name else ""),
    )
    assert differing(keys_of(library), keys_of(library, digests=edited)) == {("image", 1), ("image", 2)}


def test_devices_change_the_key_though_not_the_id(library):
    def with_device(start):
        return {
            "version": "2",
            "pipelines": [
                {
                    "name": "p",
                    "stages": [
                        noop(
                            1,
                            devices={
                                "d": {
                                    "type": "org.osbuild.loopback",
                                    "options": {"filename": "x", "start": start},
                                }
                            },
                        )
                    ],
                }
            ],
        }

    one, two = (load(with_device(start), library) for start in (1, 2))
    assert one["p"].id == two["p"].id
    assert manifest_keys(one, DIGESTS).of("p") != manifest_keys(two, DIGESTS).of("p")


def test_only_what_stands_on_the_host_depends_on_it(library):
    other = DIGESTS._replace(host="another")
    before = keys_of(library)
    # The bootstrap does, and what stands on it; all of this manifest does.
    assert differing(before, keys_of(library, digests=other)) == {
        (n, i) for n in before for i in range(len(before[n]))
    }
    keys = manifest_keys(load(document(), library), DIGESTS)
    assert keys.host == {"build", "os", "image", "other"}


def test_a_chain_that_is_longer_than_the_stack(library):
    count = 3000
    pipelines = [{"name": "p0", "stages": [noop(0)]}]
    pipelines += [{"name": f"p{n}", "stages": [noop(n, inputs=tree(f"p{n - 1}"))]} for n in range(1, count)]
    manifest = load({"version": "2", "pipelines": pipelines}, library)
    keys = manifest_keys(manifest, DIGESTS)
    plan = make_plan(manifest, keys, has=lambda _: False, pipelines=[f"p{count - 1}"])
    assert [p.name for p in plan.pipelines] == [f"p{n}" for n in range(count)]


def test_the_remote_cache_is_asked_for_the_newest_only(library):
    """What came before a tree that is to be had is not asked for, and what only it needed is not planned."""
    manifest = load(document(), library)
    keys = manifest_keys(manifest, DIGESTS)
    stored, remote = {keys.stages["image"][0]}, {keys.stages["image"][1], keys.stages["build"][1]}
    asked = []

    def ask(key):
        asked.append(key)
        return key in remote

    made = make_plan(manifest, keys, has=stored.__contains__, remote=ask, pipelines=["image"])
    assert [(p.name, p.first, p.remote) for p in made.pipelines] == [("build", 2, True), ("image", 2, True)]
    assert made.pipeline("image").base == keys.stages["image"][1]
    assert made.fetches == ()
    assert asked == [keys.stages["image"][2], keys.stages["image"][1], keys.stages["build"][1]]
    # The store comes first.
    made = make_plan(
        manifest, keys, has=(stored | remote).__contains__, remote=lambda _: True, pipelines=["build"]
    )
    assert [p.remote for p in made.pipelines] == [False]


def test_a_pipeline_that_is_not_there_is_refused(library):
    with pytest.raises(UsageError) as caught:
        known_pipelines(load(document(), library), ["image", "imge"])
    assert caught.value.code == "usage.unknown-pipeline" and "'image'" in (caught.value.hint or "")
