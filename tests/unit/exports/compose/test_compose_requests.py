import pytest

from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.parsing import Renewal, RequestRules, parse_renewal, parse_request
from osbuild_core.exports.compose.request import columns, from_columns
from osbuild_core.exports.compose.vocabulary import FLAGS, SourceType, names, number

RULES = RequestRules(target_dirs=("private",), raw_config_names=("image",), raw_config_ttl={"image": 500})


def body(source=None, **more):
    return {"source": {"type": "tag", "source": "f32", **(source or {})}, **more}


FULL = body(
    {
        "packages": ["ed", "g++"],
        "builds": ["ed-1.0-1.fc32"],
        "sigkeys": ["123", ""],
        "koji_event": 5,
        "modular_koji_tags": ["m"],
        "module_defaults_url": "https://example.org/defaults",
        "module_defaults_commit": "main",
        "modules": ["a:b"],
        "base_module_br_name": "platform",
        "base_module_br_stream_version_lte": 3,
    },
    **{
        "seconds-to-live": "600",
        "flags": ["no_deps", "no_reuse"],
        "results": ["iso"],
        "arches": ["x86_64", "ppc64"],
        "multilib_arches": ["x86_64"],
        "multilib_method": ["runtime", "devel"],
        "lookaside_repos": ["https://example.org/r/"],
        "label": "RC-1.0",
        "compose_type": "nightly",
        "target_dir": "private",
        "parent_pungi_compose_ids": ["odcs-1"],
        "respin_of": "odcs-2",
    },
)


def test_a_request_with_everything_is_read():
    request, seconds = (new := parse_request(FULL, RULES)).request, new.seconds_to_live
    assert seconds == 600
    assert request.source_type is SourceType.tag
    assert request.packages == ("ed", "g++")
    assert request.sigkeys == ("123", "")
    assert request.results == {"repository", "iso"}
    assert request.multilib_method == {"runtime", "devel"}
    assert request.has("no_deps") and not request.has("check_deps")


def test_columns_hold_everything():
    request = parse_request(FULL, RULES).request
    stored = columns(request)
    assert from_columns(stored) == request
    assert stored["packages"] == "ed g++"
    assert stored["sigkeys"] == "123 "
    assert stored["multilib_method"] == 3
    assert stored["flags"] == ["no_deps", "no_reuse"]
    assert stored["results"] == ["repository", "iso"]
    least = parse_request(body()).request
    assert from_columns(columns(least)) == least
    assert columns(least)["sigkeys"] == ""


def test_numbers_of_flags_are_those_of_the_interface():
    assert number(["no_deps", "no_label"], FLAGS) == 257
    assert names(257, FLAGS) == ("no_deps", "no_label")


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ({}, 86400),
        ({"seconds_to_live": 60}, 60),
        ({"seconds-to-live": 60}, 60),
        ({"seconds-to-live": "60"}, 60),
        ({"seconds_to_live": 10**7}, 72 * 3600),
    ],
)
def test_time_to_live_has_a_default_and_a_limit(asked, seconds):
    assert parse_request(body(**asked)).seconds_to_live == seconds


def test_a_raw_config_may_live_as_long_as_it_says():
    source = {"type": "raw_config", "source": "image#main"}
    assert parse_request({"source": source, "seconds_to_live": 900}, RULES).seconds_to_live == 500


@pytest.mark.parametrize(
    "source",
    [
        {"type": "build", "builds": ["ed-1-2"]},
        {"type": "module", "scratch_modules": ["x"]},
        {"type": "module", "source": "nodejs:10 perl:5:1:c0ffee"},
        {"type": "repo", "source": "/srv/repo"},
        {"type": "repo", "source": "deb https://example.org/debian bookworm main"},
        {"type": "pulp", "source": "a b"},
        {"type": "pungi_compose", "source": "https://example.org/compose/Server/"},
    ],
)
def test_sources_that_are_accepted(source):
    assert parse_request({"source": source}).request.source_type.name == source["type"]


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (None, ()),
        ({}, ()),
        ([], ()),
        ({"flags": ["no_deps"]}, ("source",)),
        ({"source": "f32"}, ("source",)),
        ({"source": {"source": "f32"}}, ("source", "type")),
        ({"source": {"type": "nope", "source": "f"}}, ("source", "type")),
        ({"source": {"type": "tag"}}, ("source", "source")),
        (body({"source": "a;b"}), ("source", "source")),
        (body({"source": ["f32"]}), ("source", "source")),
        (body({"source": None}), ("source", "source")),
        (body({"packages": {"a": 1}}), ("source", "packages")),
        (body({"packages": ["-rf"]}), ("source", "packages", 0)),
        (body({"packages": ["a b"]}), ("source", "packages", 0)),
        (body({"packages": [1]}), ("source", "packages", 0)),
        (body({"builds": ["ed"]}), ("source", "builds", 0)),
        (body({"koji_event": "5"}), ("source", "koji_event")),
        (body({"koji_event": True}), ("source", "koji_event")),
        (body({"module_defaults_url": "https://e.org"}), ("source",)),
        (body(flags=["nope"]), ("flags", 0)),
        (body(results=["nope"]), ("results", 0)),
        (body(multilib_method=["nope"]), ("multilib_method", 0)),
        (body(arches=["../etc"]), ("arches", 0)),
        (body(lookaside_repos=["gopher:x"]), ("lookaside_repos", 0)),
        (body(target_dir="elsewhere"), ("target_dir",)),
        (body(compose_type="../x"), ("compose_type",)),
        (body(label=None), ("label",)),
        (body(label={"a": 1}), ("label",)),
        (body(seconds_to_live="60"), ("seconds_to_live",)),
        (body(seconds_to_live=-1), ("seconds_to_live",)),
        (body(**{"seconds-to-live": "soon"}), ("seconds-to-live",)),
        ({"source": {"type": "raw_config", "source": "image"}}, ("source", "source")),
        ({"source": {"type": "raw_config", "source": "other#main"}}, ("source", "source")),
        ({"source": {"type": "module", "source": "nodejs"}}, ("source", "source")),
        ({"source": {"type": "module", "source": "platform:f32"}}, ("source", "source")),
        (body({"packages": ["a"] * 10_001}), ("source", "packages")),
    ],
)
def test_requests_that_are_refused(document, place):
    with pytest.raises(ComposeError) as caught:
        parse_request(document, RULES)
    assert caught.value.code == "compose.request"
    assert caught.value.place == place


def test_renewals_are_read():
    assert parse_renewal(None) == parse_renewal({}) == Renewal()
    asked = {"label": "L", "sigkeys": ["1"], "seconds-to-live": 100, "source": {"builds": ["a-1-1"]}}
    assert parse_renewal(asked) == Renewal(100, "L", ("1",), ("a-1-1",))
    with pytest.raises(ComposeError):
        parse_renewal({"seconds_to_live": "100"})


LOOKASIDE = ("deb https://example.org/a stable main contrib", "deb bookworm main", "deb /srv/flat ./")


@pytest.mark.parametrize("given", [list(LOOKASIDE), " ".join(LOOKASIDE), " ".join(LOOKASIDE).split()])
def test_archives_of_debian_beside_a_compose(given):
    request = parse_request(body(lookaside_repos=given)).request
    assert request.lookaside_repos == LOOKASIDE
    assert from_columns(columns(request)) == request


@pytest.mark.parametrize(
    "given",
    [["deb https://example.org/a stable", "https://example.org/r"], ["https://a.b/", "deb a"], ["deb"]],
)
def test_what_is_no_lookaside_repository(given):
    with pytest.raises(ComposeError) as caught:
        parse_request(body(lookaside_repos=given))
    assert caught.value.place[0] == "lookaside_repos"


def test_defaults_hold_where_they_make_sense():
    rules = RequestRules(sigkeys=("1",))
    assert parse_request(body(), rules).request.sigkeys == ("1",)
    debian = {"source": {"type": "repo", "source": "deb bookworm main"}}
    assert parse_request(debian, rules).request.sigkeys == ()
    other = {"type": "pungi_compose", "source": "https://example.org/compose/Server"}
    assert parse_request({"source": other}).request.arches == ()
    assert parse_request({"source": other, "arches": ["s390x"]}).request.arches == ("s390x",)
