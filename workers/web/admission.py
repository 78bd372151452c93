"""Who is asking: an API key, or a signature by a key's signing secret."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import Request

from db.pool import acquired
from db.repositories.api_keys import ApiKeyRow, ApiKeys
from pipeline.errors import Waiting
from workers.keys import check_key, key_digest, signing_secrets
from workers.signatures import ID_HEADER, BadSignature, is_signed, verify
from workers.web.body import parse_object, read_body
from workers.web.context import Web, web_of
from workers.web.problems import Problem

log = structlog.get_logger()

MOST_SIGNING_KEYS = 200
REMEMBERED = "ytempire.remembered_key"
_BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who was admitted, and for what. `webhook_id`: of a signed request, whose repeat must change
    nothing."""

    key: ApiKeyRow
    scope: str
    webhook_id: str | None = None

    @property
    def name(self) -> str:
        """As jobs keep who asked for them."""
        return f"http:{self.key.name}"[:100]


async def admit(request: Request, scope: str) -> Caller:
    """Let a request without a body in. Raises `Problem`: 401, 403, 429."""
    web = web_of(request)
    row = await _by_key(web, request)
    if row is None:
        raise _unknown()
    return await _counted(web, Caller(row, scope))


async def admit_with_body(request: Request, scope: str) -> tuple[Caller, dict[str, Any]]:
    """Let a request in and read its object. The body of a caller with a key is read once the key
    is known; a signature is checked over the body, so that one is read first."""
    web = web_of(request)
    if not is_signed(request.headers):
        caller = await _admit_remembered(request, scope)
        return caller, parse_object(await read_body(request, web.limits), web.limits)
    candidates = await _signers(web, request)
    body = await read_body(request, web.limits)
    signer = _signed_by(web, candidates, request, body)
    webhook_id = request.headers[ID_HEADER]
    caller = await _counted(web, Caller(signer, scope, webhook_id))
    return caller, parse_object(body, web.limits)


async def confirm(request: Request) -> None:
    """Look again at a key that was taken from memory. Raises `Problem`: 401 when it has ended, 403
    when it has lost the scope."""
    caller: Caller | None = request.scope.pop(REMEMBERED, None)
    if caller is None:
        return
    web = web_of(request)
    row = await _by_key(web, request)
    if row is None:
        web.memories.keys.forget(caller.key.key_hash)
        raise _unknown()
    web.memories.keys.put(row.key_hash, row)
    _check_scope(Caller(row, caller.scope))


async def _admit_remembered(request: Request, scope: str) -> Caller:
    """As `admit`, but a key that was good half a minute ago is asked for later: by the statement
    that accepts the request, or by `confirm` when it is not accepted."""
    web = web_of(request)
    given = _given_key(request)
    row = web.memories.keys.get(key_digest(given)) if given is not None else None
    if row is None or scope not in row.permissions:
        caller = await admit(request, scope)
        web.memories.keys.put(caller.key.key_hash, caller.key)
        return caller
    caller = request.scope[REMEMBERED] = Caller(row, scope)
    return await _counted(web, caller)


async def _by_key(web: Web, request: Request) -> ApiKeyRow | None:
    given = _given_key(request)
    if given is None:
        return None
    async with acquired(web.pool) as connection:
        return await check_key(connection, given)


def _given_key(request: Request) -> str | None:
    headers = request.headers
    keys = headers.getlist("x-api-key")
    for authorization in headers.getlist("authorization"):
        bearer = _BEARER.fullmatch(authorization.strip())
        keys.append(bearer[1] if bearer else "")
    return keys[0].strip() if len(keys) == 1 else None


async def _signers(web: Web, request: Request) -> Sequence[ApiKeyRow]:
    """Whose signature it may be: the key's that is sent along, or any key's with a secret."""
    headers = request.headers
    if "x-api-key" in headers or "authorization" in headers:
        row = await _by_key(web, request)
        if row is None:
            raise _unknown()
        return [row]
    async with acquired(web.pool) as connection:
        return await ApiKeys(connection).list_signing(most=MOST_SIGNING_KEYS)


def _signed_by(
    web: Web, candidates: Sequence[ApiKeyRow], request: Request, body: bytes
) -> ApiKeyRow:
    owners: list[ApiKeyRow] = []
    secrets: list[str] = []
    for row in candidates:
        try:
            own = signing_secrets(web.sealing, row)
        except Waiting as error:
            # One key sealed elsewhere must not shut out all the others.
            log.warning("web.signing_secret_unusable", key=row.name, error=str(error))
            continue
        owners += [row] * len(own)
        secrets += own
    try:
        return owners[verify(secrets, headers=request.headers, body=body)]
    except BadSignature as error:
        log.info("web.signature_refused", reason=str(error))
        raise Problem(
            401,
            "the signature is not valid: sign webhook-id.webhook-timestamp.body with the key's"
            " signing secret (Standard Webhooks), at most five minutes before it arrives",
        ) from None


def _check_scope(caller: Caller) -> None:
    if caller.scope not in caller.key.permissions:
        raise Problem(403, f"the key {caller.key.name!r} lacks the scope {caller.scope}")


async def _counted(web: Web, caller: Caller) -> Caller:
    _check_scope(caller)
    wait = await web.hourly.admit(caller.key)
    if wait is not None:
        raise Problem(
            429,
            f"the key {caller.key.name!r} has used its {caller.key.rate_limit} requests of this"
            " hour",
            headers={"Retry-After": str(math.ceil(wait) or 1)},
        )
    return caller


def _unknown() -> Problem:
    """The same for a key that is missing, unknown, wrong, expired or revoked."""
    return Problem(
        401,
        "send a valid API key as X-API-Key or Authorization: Bearer (in one header, never in the"
        " address); make one with: ytempire key create",
        headers={"WWW-Authenticate": "Bearer"},
    )
