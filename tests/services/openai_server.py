"""A server that speaks OpenAI's Responses API as its SDK does, and refuses what OpenAI refuses."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

from tests.services.http_server import Asked, Reply, VendorServer

KEY = "sk-test-canary-6f1d2a"
MODELS = {"gpt-6-sol": None, "gpt-6-luna": None, "gpt-5-mini": "2026-12-11"}
USAGE = {
    "input_tokens": 1_000,
    "input_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 100},
    "output_tokens": 500,
    "output_tokens_details": {"reasoning_tokens": 200},
    "total_tokens": 1_500,
}
PARAMETERS = {
    *("background", "include", "input", "instructions", "max_output_tokens", "metadata", "model"),
    *("parallel_tool_calls", "previous_response_id", "prompt_cache_key", "reasoning"),
    *("safety_identifier", "service_tier", "store", "stream", "temperature", "text"),
    *("tool_choice", "tools", "top_p", "truncation", "user"),
}
USAGE_COST = "0.006330"  # gpt-6-sol: 500 x 2 + 400 x 0.20 + 100 x 2.50 + 500 x 10, a million


def script(data: dict[str, Any]) -> dict[str, Any]:
    """A good script about the data of a request: every fact told in its own words, and another
    ending for each note of the editor."""
    facts = data["facts"]
    takes = len(data.get("editor_notes", []))
    thanks = f"Thank you for watching take {takes + 1}." if takes else "Thank you for watching."
    return {
        "hook": [
            {"text": "Here is something few people know.", "fact": None},
            {"text": facts[0]["text"], "fact": 0},
        ],
        "sections": [
            {
                "heading": f"Part number {number}",
                "sentences": [
                    {"text": "Now listen to this.", "fact": None},
                    {"text": fact["text"], "fact": fact["index"]},
                ],
            }
            for number, fact in enumerate(facts[1:] or facts, start=1)
        ],
        "outro": [{"text": thanks, "fact": None}],
        "title": f"What nobody told you about {data['topic'][:50]}",
        "description": f"A short film about {data['topic'][:100]}.",
        "tags": ["science", "short film"],
        "thumbnail_text": "Did you know?",
    }


def data_of(asked: Asked) -> dict[str, Any]:
    """The document between <data> and </data> of a request."""
    text = asked.json()["input"][0]["content"]
    inner = text.removeprefix("<data>\n").removesuffix("\n</data>")
    assert "<" not in inner, "the data must not be able to close their own delimiter"
    found: dict[str, Any] = json.loads(inner)
    return found


def message(text: str) -> dict[str, Any]:
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }


def refusal(text: str) -> dict[str, Any]:
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "refusal", "refusal": text}],
    }


def error(status: int, code: str | None, said: str, **headers: str) -> Reply:
    kind = code if code == "insufficient_quota" else "invalid_request_error"
    body = {"error": {"message": said, "type": kind, "param": None, "code": code}}
    return Reply(status, body, {"x-request-id": f"req_error_{status}", **headers})


OUT_OF_CREDIT = error(
    429, "insufficient_quota", "You exceeded your current quota, please check your plan."
)


class OpenAIServer(VendorServer):
    """`/v1` of an OpenAI with one key and a few models. `charged` are the responses that it made,
    by their id, whatever the caller saw of them; a response in the background is asked for
    `polls` times before it is finished."""

    def __init__(self, *, key: str = KEY) -> None:
        super().__init__()
        self.key = key
        self.polls = 1
        self.poll_replies: list[Reply] = []
        self.charged: dict[str, dict[str, Any]] = {}
        self._asked_for: dict[str, int] = {}
        self._numbers = itertools.count(1)

    @property
    def base_url(self) -> str:
        return f"{self.root}/v1"

    def answer(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Bearer {self.key}":
            given = asked.headers.get("authorization", "").removeprefix("Bearer ")
            return error(401, "invalid_api_key", f"Incorrect API key provided: {given}.")
        match asked.method, asked.path:
            case "GET", "/v1/models":
                return Reply(200, {"object": "list", "data": [_model(name) for name in MODELS]})
            case "GET", path if path.startswith("/v1/models/"):
                name = path.rpartition("/")[2]
                return Reply(200, _model(name)) if name in MODELS else _no_model(name)
            case "POST", "/v1/responses":
                return self._respond(asked)
            case "GET", path if path.startswith("/v1/responses/"):
                return self._stored(path.rpartition("/")[2])
        return error(404, None, f"Invalid URL ({asked.method} {asked.path})")

    def _respond(self, asked: Asked) -> Reply:
        request = asked.json()
        if request.get("model") not in MODELS:
            return _no_model(str(request.get("model")))
        problem = _problem(request)
        if problem:
            return error(400, "invalid_value", problem)
        reply = self.planned(asked) or self.completed(
            asked, [message(json.dumps(script(data_of(asked))))]
        )
        if not request.get("background") or not isinstance(reply.body, dict) or reply.lost:
            return reply
        if reply.status != 200:
            return reply
        queued = {**reply.body, "status": "queued", "output": [], "usage": None}
        return replace(reply, body=queued)

    def _stored(self, id_: str) -> Reply:
        """A response is kept unless it was asked not to be; one in the background takes a while."""
        if self.poll_replies:
            return self.poll_replies.pop(0)
        kept = self.charged.get(id_)
        if kept is None or kept["store"] is False:
            return error(404, None, f"Response with id '{id_}' not found.")
        asked_for = self._asked_for[id_] = self._asked_for.get(id_, 0) + 1
        body = kept["body"]
        if kept["background"] and asked_for <= self.polls:
            body = {**body, "status": "in_progress", "output": [], "usage": None}
        return Reply(200, body, {"x-request-id": f"req_get_{id_}_{asked_for}"})

    def completed(self, asked: Asked, items: list[dict[str, Any]], /, **changed: Any) -> Reply:
        """A response object around an output, with usage and a request id of its own."""
        number = next(self._numbers)
        request = asked.json()
        body = {
            "id": f"resp_{number}",
            "object": "response",
            "created_at": 1_790_000_000,
            "status": "completed",
            "error": None,
            "incomplete_details": None,
            "instructions": asked.json()["instructions"],
            "metadata": request.get("metadata", {}),
            "model": f"{asked.json()['model']}-2026-09-15",
            "output": [{"type": "reasoning", "id": "rs_1", "summary": []}, *items],
            "parallel_tool_calls": True,
            "service_tier": "default",
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "usage": USAGE,
            **changed,
        }
        self.charged[f"resp_{number}"] = {
            "body": body,
            "store": request.get("store", True),
            "background": request.get("background", False),
        }
        return Reply(200, body, {"x-request-id": f"req_{number}"})

    def loses(self, asked: Asked) -> Reply:
        """To be planned: the script is written and charged, and the connection breaks."""
        made = self.completed(asked, [message(json.dumps(script(data_of(asked))))])
        return replace(made, lost=True)

    def says(self, text: str, **changed: Any) -> Any:
        """To be planned: an answer with this text."""
        return lambda asked: self.completed(asked, [message(text)], **changed)


def _model(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": 1_780_000_000,
        "owned_by": "system",
        "shutdown_date": MODELS[name],
    }


def _no_model(name: str) -> Reply:
    return error(
        404,
        "model_not_found",
        f"The model `{name}` does not exist or you do not have access to it.",
    )


def _problem(request: dict[str, Any]) -> str | None:
    """What of a request the real service would refuse."""
    unknown = request.keys() - PARAMETERS
    if unknown:
        return f"Unknown parameter: '{min(unknown)}'."
    effort = request.get("reasoning", {}).get("effort")
    if "temperature" in request and effort != "none":
        return "Unsupported parameter: 'temperature' is not supported with this model."
    if not isinstance(request.get("input"), list) or not request["input"]:
        return "Missing required parameter: 'input'."
    for item in request["input"]:
        if item.get("role") not in {"user", "assistant", "system", "developer"}:
            return "Invalid value for 'input[].role'."
        if not isinstance(item.get("content"), str):
            return "Invalid type for 'input[].content'."
    if request.get("background") and request.get("store") is False:
        return "Background mode requires 'store' to be true."
    metadata = request.get("metadata", {})
    if len(metadata) > 16 or any(
        not isinstance(value, str) or len(name) > 64 or len(value) > 512
        for name, value in metadata.items()
    ):
        return "Invalid 'metadata'."
    text_format = request.get("text", {}).get("format", {})
    if text_format.get("type") != "json_schema" or not text_format.get("strict"):
        return "Missing required parameter: 'text.format'."
    return _schema_problem(text_format.get("schema", {}))


def _schema_problem(schema: Any) -> str | None:
    """Strict mode: every object is closed and requires all of its properties."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            if schema.get("additionalProperties") is not False:
                return "Invalid schema: 'additionalProperties' is required to be false."
            if set(schema.get("required", ())) != set(schema.get("properties", {})):
                return "Invalid schema: 'required' must include every key of properties."
        return next(filter(None, map(_schema_problem, schema.values())), None)
    if isinstance(schema, list):
        return next(filter(None, map(_schema_problem, schema)), None)
    return None
