"""What the description of the API (OpenAPI) says about bodies that are checked by hand."""

from __future__ import annotations

from typing import Any

from osbuild_core.exports.compose.vocabulary import FLAGS, MULTILIB, RESULTS, SourceType

_ERROR = {
    "type": "object",
    "required": ["status", "error", "message"],
    "properties": {
        "status": {"type": "integer"},
        "error": {"type": "string"},
        "message": {"type": "string"},
    },
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/json": {"schema": _ERROR}}}
    for status, text in {
        400: "The request is wrong",
        401: "A token is needed",
        403: "Not allowed",
        404: "There is no such thing",
        409: "It is over already",
        413: "The body is too large",
        429: "Too much is in the queue",
    }.items()
}

_TEXT = {"type": "string"}
_WORD = {"type": "string", "minLength": 1}
_WORDS = {"anyOf": [{"type": "array", "items": _WORD}, {"type": "string"}]}
_KEYS = {"anyOf": [{"type": "array", "items": _TEXT}, {"type": "string"}]}
_SECONDS = {"type": "integer", "minimum": 0}


def _choice(table: Any) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string", "enum": list(table)}}


def _body(schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


_LISTS = (
    *("packages", "builds", "sigkeys", "modular_koji_tags", "modules"),
    *("scratch_modules", "scratch_build_tasks"),
)
_SOURCE = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"type": "string", "enum": list(SourceType.__members__)},
        "source": _TEXT,
        **dict.fromkeys(_LISTS, _WORDS),
        # An empty one allows packages without a signature.
        "sigkeys": _KEYS,
        "koji_event": {"type": "integer", "minimum": 0},
        "module_defaults_url": _TEXT,
        "module_defaults_commit": _TEXT,
        "base_module_br_name": _TEXT,
        "base_module_br_stream": _TEXT,
        "base_module_br_stream_version_lte": {"type": "integer", "minimum": 0},
        "base_module_br_stream_version_gte": {"type": "integer", "minimum": 0},
    },
}

NEW_COMPOSE = _body(
    {
        "type": "object",
        "required": ["source"],
        "properties": {
            "source": _SOURCE,
            "seconds_to_live": _SECONDS,
            "seconds-to-live": {"anyOf": [_SECONDS, {"type": "string", "pattern": "^[0-9]{1,12}$"}]},
            "flags": _choice(FLAGS),
            "results": _choice(RESULTS),
            "arches": _WORDS,
            "multilib_arches": _WORDS,
            "multilib_method": _choice(MULTILIB),
            "lookaside_repos": _WORDS,
            "label": _TEXT,
            "compose_type": {"type": "string", "default": "test"},
            "target_dir": _TEXT,
            "parent_pungi_compose_ids": _WORDS,
            "respin_of": _TEXT,
        },
        "example": {"source": {"type": "repo", "source": "https://example.org/repo", "packages": ["bash"]}},
    },
    required=True,
)

RENEWAL = _body(
    {
        "type": "object",
        "properties": {
            "label": _TEXT,
            "sigkeys": _KEYS,
            "seconds_to_live": _SECONDS,
            "source": {"type": "object", "properties": {"builds": _WORDS, "modules": _WORDS}},
        },
    },
    required=False,
)

NEW_BUILD = _body(
    {
        "type": "object",
        "required": ["manifest"],
        "properties": {"manifest": {"type": "object"}, "exports": {"type": "array", "items": _WORD}},
    },
    required=True,
)
