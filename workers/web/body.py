"""A request's body: read with limits, and understood strictly."""

import asyncio
import json
import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from workers.web.problems import Problem

DRAINED_BYTES = 1024 * 1024
DRAIN_SECONDS = 2.0
LONGEST_NUMBER = 4000

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may cost us at most."""

    body_bytes: int = 256 * 1024
    body_seconds: float = 30.0
    depth: int = 64


JSON_TYPES = ("application/json",)


async def read_body(request: Request, limits: Limits) -> bytes:
    """The whole body of a request that sends JSON; see `read_capped`."""
    return await read_capped(request, limits, types=JSON_TYPES)


async def read_capped(request: Request, limits: Limits, *, types: Sequence[str]) -> bytes:
    """The whole body. Raises `Problem`: 413 as soon as it is too long, whatever its length was
    said to be, 408 when it takes too long, 415 for what is encoded or of another type."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise Problem(
            415,
            "send the body as it is: Content-Encoding is not taken",
            headers={"Connection": "close", "Accept-Encoding": "identity"},
        )
    kind = request.headers.get("content-type", types[0]).partition(";")[0].strip().lower()
    if kind not in types and not (types is JSON_TYPES and kind.endswith("+json")):
        raise Problem(415, f"send Content-Type: {types[0]}", headers={"Connection": "close"})
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.body_bytes:
                    break
    except TimeoutError:
        raise Problem(
            408,
            f"the body did not arrive within {limits.body_seconds:g} seconds",
            headers={"Connection": "close"},
        ) from None
    if len(body) > limits.body_bytes:
        await _drain(request)
        raise Problem(
            413,
            f"the body is longer than {limits.body_bytes} bytes",
            headers={"Connection": "close"},
        )
    return bytes(body)


async def _drain(request: Request) -> None:
    """Read on for a moment: a sender that is cut off within its body never sees the answer."""
    drained = 0
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for chunk in request.stream():
                drained += len(chunk)
                if drained > DRAINED_BYTES:
                    return


def parse_object(body: bytes, limits: Limits) -> dict[str, Any]:
    """The JSON object of a body. Raises `Problem`: 400 for what is not JSON or nested too deeply,
    422 for JSON that Postgres or another reader would understand otherwise or not at all."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Problem(400, "the body is not UTF-8") from None
    if not text.strip():
        raise Problem(400, "there is no body; send a JSON object such as {}")
    _check_depth(text, limits.depth)
    try:
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_number,
            object_pairs_hook=_unique,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Problem(400, f"the body is not JSON: {error.msg} at {where}") from None
    if not isinstance(value, dict):
        raise Problem(422, "the body must be a JSON object such as {}")
    if "\\u" in text:  # what no escape wrote is UTF-8, and holds no control character
        _check_text(value)
    return value


def _check_depth(text: str, most: int) -> None:
    if text.count("{") + text.count("[") <= most:
        return
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub("", text)):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > most:
            raise Problem(400, f"the body is nested more than {most} levels deep")


def _refuse_constant(name: str) -> Any:
    raise Problem(422, f"{name} is not JSON; leave the field out, or send null")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number) or len(text) > LONGEST_NUMBER:
        raise Problem(422, "a number of the body is too large")
    return number


def _number(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise Problem(422, "a number of the body is too large")
    return int(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Problem(422, "an object of the body has the same key twice")
    return found


def _check_text(value: Any) -> None:
    """No NUL and no half of a surrogate pair, in texts and keys; the depth is limited already."""
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise Problem(422, "a text of the body holds NUL or half a character (lone surrogate)")
    elif isinstance(value, dict):
        for key, each in value.items():
            _check_text(key)
            _check_text(each)
    elif isinstance(value, list):
        for each in value:
            _check_text(each)
