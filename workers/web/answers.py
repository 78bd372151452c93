"""Answers: JSON as the command line prints it, pages, and 202 that is given once."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from fastapi import Request
from fastapi.responses import Response

from db.errors import ConstraintViolated, InvalidValue
from db.pool import Connection, transaction
from db.repositories.receipts import ReceiptKey, Receipts
from pipeline.errors import Rejected
from workers.channels import NotFound
from workers.web.admission import Caller, confirm
from workers.web.context import web_of
from workers.web.problems import Problem

ACCEPTED = 202
ANSWER_FIELDS = ("execution_id", "video_id", "job_id", "status_url")
_BARE_KEY = re.compile(r"[!#-~][ -~]{0,198}")
_QUOTED_KEY = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\]){1,200})"')

Work = Callable[[Connection], Awaitable[dict[str, Any]]]


def json_response(value: Any, *, status: int = 200, location: str | None = None) -> Response:
    """JSON with ids as text, times in UTC and money as numbers."""
    text = json.dumps(value, default=_plain, ensure_ascii=False, allow_nan=False)
    headers = {"Location": location} if location else None
    return Response(
        text.encode("utf-8", "backslashreplace"),
        status_code=status,
        headers=headers,
        media_type="application/json",
    )


def page(items: Sequence[Any], next_cursor: str | None) -> Response:
    """The shape of every list."""
    return json_response({"items": list(items), "next_cursor": next_cursor})


def make_cursor(*parts: object) -> str:
    """An opaque place in a list."""
    text = "|".join(p.isoformat() if isinstance(p, datetime) else str(p) for p in parts)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> list[str]:
    """What `make_cursor` was given; raises `Problem` for what no list ever gave."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii").split("|")
    except (binascii.Error, UnicodeError, ValueError):
        raise bad_cursor() from None


def bad_cursor() -> Problem:
    """422 for a cursor that is none of ours."""
    return Problem(422, "cursor takes the next_cursor of a page before, unchanged")


async def accept_once(
    request: Request, caller: Caller, body: Mapping[str, Any], work: Work
) -> Response:
    """Do the work and answer 202, in one transaction; a repeat of the request, by its
    Idempotency-Key or its webhook-id, gets the same answer and changes nothing.

    Repeats that race wait for the first. Raises `Problem`: 422 for a key that came with another
    body, 409 for a webhook-id that did.
    """
    await confirm(request)
    keys = receipt_keys(request, caller)
    digest = body_digest(body)
    async with transaction(web_of(request).pool) as connection:
        receipts = Receipts(connection)
        claimed: list[ReceiptKey] = []
        answer: dict[str, Any] | None = None
        for key in keys:
            if await receipts.claim(key, request_hash=digest):
                claimed.append(key)
                continue
            first = await receipts.get(key)
            if first.request_hash != digest:
                raise _other_body(key)
            answer = dict(first.response_body)
            break
        if answer is None:
            answer = await _done(connection, work)
        for key in claimed:
            await receipts.set_answer(key, status=ACCEPTED, body=answer)
    return accepted(answer)


def run_answer(execution_id: UUID, video_id: UUID, job_id: UUID | None) -> dict[str, Any]:
    """What the 202 of a run says."""
    return {
        "execution_id": str(execution_id),
        "video_id": str(video_id),
        "job_id": str(job_id),
        "status_url": f"/v1/runs/{execution_id}",
    }


def accepted(answer: Mapping[str, Any]) -> Response:
    """The 202 of an answer. Stored JSON has no order of its own: a repeat looks like the first,
    letter for letter."""
    ordered = {name: answer[name] for name in ANSWER_FIELDS if name in answer}
    return json_response(ordered, status=ACCEPTED, location=str(answer["status_url"]))


def body_digest(body: Mapping[str, Any]) -> str:
    """The same for the same JSON, whatever its order of keys."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


async def _done(connection: Connection, work: Work) -> dict[str, Any]:
    try:
        return await work(connection)
    except NotFound as error:
        raise Problem(404, str(error)) from error
    except Rejected as error:
        raise Problem(409, str(error)) from error
    except (ConstraintViolated, InvalidValue) as error:
        raise Problem(422, str(error)) from error


def receipt_keys(request: Request, caller: Caller) -> list[ReceiptKey]:
    """Under which receipts a request is kept, none or more. Raises `Problem`."""
    endpoint = request.url.path[:200]
    keys = []
    if caller.webhook_id is not None:
        # One place for all addresses: a captured message is no new one elsewhere.
        keys.append(ReceiptKey(caller.key.id, "webhook_id", "*", caller.webhook_id))
    given = request.headers.getlist("idempotency-key")
    if given:
        text = _idempotency_key(given)
        keys.append(ReceiptKey(caller.key.id, "idempotency_key", endpoint, text))
    return keys


def _idempotency_key(given: Sequence[str]) -> str:
    """The key, which may be quoted as the draft says or bare as n8n sends it."""
    text = given[0].strip()
    quoted = _QUOTED_KEY.fullmatch(text)
    if quoted:
        text = re.sub(r"\\(.)", r"\1", quoted[1])
    if len(given) > 1 or not (quoted or _BARE_KEY.fullmatch(text)):
        raise Problem(
            400, "send one Idempotency-Key of 1 to 200 printable ASCII characters, quoted or bare"
        )
    return text


def _other_body(key: ReceiptKey) -> Problem:
    if key.kind == "webhook_id":
        return Problem(409, "this webhook-id came before with another body; give each its own")
    return Problem(422, "this Idempotency-Key came before with another body; use a new one")


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form here")
