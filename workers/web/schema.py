"""What the OpenAPI document says beyond the handlers' own signatures."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel

PROBLEM: dict[str, Any] = {
    "description": "What is wrong, and what to do (RFC 9457).",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                    "instance": {"type": "string"},
                    "request_id": {"type": ["string", "null"]},
                    "errors": {"type": "array", "items": {"type": "object"}},
                },
            }
        }
    },
}
PROBLEMS: dict[int | str, dict[str, Any]] = dict.fromkeys(
    (400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 503), PROBLEM
)
PAGE: dict[int | str, dict[str, Any]] = {
    200: {"description": "For a person.", "content": {"text/html": {"schema": {"type": "string"}}}}
}
_BYTES = {"schema": {"type": "string", "format": "binary"}}
MEDIA: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole file.", "content": {"*/*": _BYTES}},
    206: {"description": "The range that was asked for.", "content": {"*/*": _BYTES}},
    416: PROBLEM,
}
SEE_OTHER: dict[int | str, dict[str, Any]] = {
    303: {
        "description": "Done; the page shows where the run stands.",
        "headers": {"Location": {"schema": {"type": "string"}}},
    }
}


def form_schema(*fields: str) -> dict[str, Any]:
    """A form of the review page, with these fields of text."""
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in fields}}
    content = {"application/x-www-form-urlencoded": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


_IDS = ("execution_id", "video_id", "job_id")


def _accepted(*names: str) -> dict[int | str, dict[str, Any]]:
    properties: dict[str, Any] = {name: {"type": "string", "format": "uuid"} for name in names}
    properties["status_url"] = {"type": "string"}
    schema = {"type": "object", "required": list(properties), "properties": properties}
    return {
        202: {
            "description": "Accepted; a repeat with the same Idempotency-Key gets the same answer.",
            "headers": {
                "Location": {"schema": {"type": "string"}, "description": "The status_url."}
            },
            "content": {"application/json": {"schema": schema}},
        }
    }


RUN_ACCEPTED = _accepted(*_IDS)
JOB_ACCEPTED = _accepted("job_id")

_KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Quoted or bare; the same key and body again changes nothing.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,200}$"},
}

Limit = Annotated[int, Query(ge=1, le=200, description="Items of a page at most.")]
Cursor = Annotated[str | None, Query(max_length=300, description="next_cursor of the page before.")]


def body_schema(model: type[BaseModel], example: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON body of this model, which the handler itself reads."""
    return _body(model.model_json_schema(), example)


def decision_schema(
    model: type[BaseModel], example: Mapping[str, Any], *, required: bool = False
) -> dict[str, Any]:
    """A JSON body of this model for what is decided once: it takes no Idempotency-Key."""
    body = _body(model.model_json_schema(), example)["requestBody"]
    return {"requestBody": {**body, "required": required}}


def object_schema(example: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON body that may be any object."""
    return _body({"type": "object", "additionalProperties": True}, example)


def _body(schema: dict[str, Any], example: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "parameters": [_KEY_HEADER],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": dict(example)}},
        },
    }
