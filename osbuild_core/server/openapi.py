"""What the description of the API (OpenAPI) says about bodies that are checked by hand."""

from __future__ import annotations

from typing import Any

from osbuild_core.exports.compose.vocabulary import FLAGS, MULTILIB, RESULTS, SourceType, State

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
        503: "Tokens cannot be checked now",
    }.items()
}


def answers(schema: dict[str, Any], status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Return the answers of what is answered with ``schema`` when all is right."""
    content = {"application/json": {"schema": schema}}
    return {**ERRORS, status: {"description": "Successful Response", "content": content}}


def without_validation(description: dict[str, Any]) -> dict[str, Any]:
    """Return ``description`` without the status that FastAPI answers with to wrong parameters, and we do not."""
    for operations in description["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        description.get("components", {}).get("schemas", {}).pop(name, None)
    return description


_TEXT = {"type": "string"}
_WORD = {"type": "string", "minLength": 1}
_WORDS = {"anyOf": [{"type": "array", "items": _WORD}, {"type": "string"}]}
_KEYS = {"anyOf": [{"type": "array", "items": _TEXT}, {"type": "string"}]}
_SECONDS = {"type": "integer", "minimum": 0}
_LIFE = {
    "seconds_to_live": _SECONDS,
    "seconds-to-live": {"anyOf": [_SECONDS, {"type": "string", "pattern": "^[0-9]{1,12}$"}]},
}


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
            **_LIFE,
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
            **_LIFE,
            "source": {"type": "object", "properties": {"builds": _WORDS, "modules": _WORDS}},
        },
    },
    required=False,
)

NEW_BUILD = _body(
    {
        "type": "object",
        "required": ["manifest"],
        "properties": {
            "manifest": {"type": "object"},
            "exports": {"type": "array", "items": _WORD},
            "seconds_to_live": {"type": "integer", "minimum": 1},
        },
    },
    required=True,
)

_MAYBE_TEXT = {"type": ["string", "null"]}
_NUMBER = {"type": "integer", "minimum": 0}
_MAYBE_NUMBER = {"type": ["integer", "null"], "minimum": 0}
_TIME = {"type": ["string", "null"], "pattern": "^[0-9-]{10}T[0-9:]{8}Z$"}
_STATE = {"type": "integer", "minimum": 0, "maximum": max(State)}
_STATE_NAME = {"type": "string", "enum": list(State.__members__)}


def _object(properties: dict[str, Any], *optional: str) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties}


def _named(table: Any) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string", "enum": list(table)}, "uniqueItems": True}


COMPOSE = _object(
    {
        "id": _NUMBER,
        "owner": _TEXT,
        "source_type": {"type": "integer", "enum": [int(one) for one in SourceType]},
        "source": _TEXT,
        **dict.fromkeys(("koji_event", "koji_task_id"), _MAYBE_NUMBER),
        # Lists are words with spaces between them.
        **dict.fromkeys((*_LISTS, "arches", "multilib_arches", "lookaside_repos"), _TEXT),
        "parent_pungi_compose_ids": _TEXT,
        "flags": _named(FLAGS),
        "results": _named(RESULTS),
        "multilib_method": _NUMBER,
        **dict.fromkeys(("module_defaults_url", "label", "respin_of", "pungi_compose_id"), _MAYBE_TEXT),
        **dict.fromkeys(("base_module_br_name", "base_module_br_stream"), _MAYBE_TEXT),
        **dict.fromkeys(
            ("base_module_br_stream_version_lte", "base_module_br_stream_version_gte"), _MAYBE_NUMBER
        ),
        "compose_type": _TEXT,
        "target_dir": _TEXT,
        "state": _STATE,
        "state_name": _STATE_NAME,
        **dict.fromkeys(("state_reason", "removed_by"), _MAYBE_TEXT),
        **dict.fromkeys(
            ("time_to_expire", "time_submitted", "time_started", "time_done", "time_removed"), _TIME
        ),
        **dict.fromkeys(("result_repo", "result_repofile", "toplevel_url"), _TEXT),
        "pungi_config_dump": _MAYBE_TEXT,
    },
    "pungi_config_dump",
)

COMPOSES = _object(
    {
        "meta": _object(
            {
                **dict.fromkeys(("page", "pages", "per_page", "total"), _NUMBER),
                **dict.fromkeys(("first", "last"), _TEXT),
                **dict.fromkeys(("prev", "next"), _MAYBE_TEXT),
            }
        ),
        "items": {"type": "array", "items": COMPOSE},
    }
)

ACCEPTED = _object({"status": {"const": 202}, "message": _TEXT})

ABOUT = _object(
    {
        **dict.fromkeys(("version", "auth_backend"), _TEXT),
        "allowed_clients": _object({"users": {"type": "object"}, "groups": {"type": "object"}}),
        "raw_config_urls": {"type": "object", "additionalProperties": _object({"url": _TEXT})},
        "sigkeys": {"type": "array", "items": _TEXT},
    }
)

STATUS = _object({"status": _TEXT})

BUILD = _object(
    {
        "id": _NUMBER,
        "owner": _TEXT,
        "state": _STATE,
        "state_name": _STATE_NAME,
        "state_reason": _MAYBE_TEXT,
        "exports": {"type": "array", "items": _TEXT},
        **dict.fromkeys(("time_submitted", "time_started", "time_done"), _TIME),
        **dict.fromkeys(("time_to_expire", "time_removed"), _TIME),
        "result": {"type": ["object", "null"]},
    }
)

BUILDS = _object(
    {
        "meta": _object(dict.fromkeys(("page", "pages", "per_page", "total"), _NUMBER)),
        "items": {"type": "array", "items": BUILD},
    }
)

FILES = _object({"files": {"type": "array", "items": _object({"path": _TEXT, "size": _NUMBER})}})
