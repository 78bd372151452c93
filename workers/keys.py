"""API keys: made, checked, and counted by the hour.

A key is `yte_<prefix>_<secret>`. The table has its prefix and its SHA-256, so a dump of it opens
nothing. The secret has 256 random bits: a slow hash would protect nothing more.
"""

import asyncio
import hashlib
import hmac
import math
import re
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from db.errors import DatabaseError
from db.pool import Connection, Pool, acquired, transaction
from db.repositories.api_keys import ApiKeyRow, ApiKeys
from workers.secrets import SecretKeys
from workers.signatures import new_secret

SCOPES = ("runs:write", "runs:read", "jobs:write", "jobs:read")
DEFAULT_RATE_LIMIT = 1000
LARGEST_BLOCK = 100
MARK_USED_SECONDS = 60.0
KEPT_SIGNING_SECRETS = 2
TABLE, SECRETS_COLUMN = "api_keys", "signing_secrets"

_KEY = re.compile(r"yte_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
# Compared with when there is no such key, so that both refusals do the same work.
_NOBODY = hashlib.sha256(b"nobody's key").hexdigest()


class KeyNameTaken(Exception):
    """A key with this name is in use."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as it is shown, once."""

    id: UUID
    prefix: str
    key: str = field(repr=False)
    signing_secret: str | None = field(repr=False)


async def create_key(
    connection: Connection,
    sealing: SecretKeys,
    *,
    name: str,
    scopes: Sequence[str],
    rate_limit: int = DEFAULT_RATE_LIMIT,
    expires_at: datetime | None = None,
    with_signing_secret: bool = False,
) -> NewKey:
    """Make a key. Raises `KeyNameTaken`."""
    made = _new(uuid4(), new_secret() if with_signing_secret else None)
    inserted = await ApiKeys(connection).insert(
        id_=made.id,
        name=name,
        key_prefix=made.prefix,
        key_hash=key_digest(made.key),
        permissions=sorted(set(scopes)),
        rate_limit=rate_limit,
        signing_secrets=_sealed(sealing, made),
        expires_at=expires_at,
    )
    if not inserted:
        raise KeyNameTaken(f"a key named {name!r} is in use: rotate or revoke it, or take another")
    return made


async def rotate_key(connection: Connection, sealing: SecretKeys, *, name: str) -> NewKey | None:
    """Give a key a new secret; the old one ends at once. None when there is no such key.

    With a signing secret, a new one signs from now on, and the former verifies until the next
    rotation: sender and receiver need not change at the same moment.
    """
    keys = ApiKeys(connection)
    row = await keys.find(name=name)
    if row is None:
        return None
    made = _new(row.id, new_secret() if row.signing_secrets else None)
    former = list(row.signing_secrets or ())
    await keys.mark_rotated(
        id_=row.id,
        key_prefix=made.prefix,
        key_hash=key_digest(made.key),
        signing_secrets=[*(_sealed(sealing, made) or ()), *former][:KEPT_SIGNING_SECRETS] or None,
    )
    return made


def signing_secrets(sealing: SecretKeys, row: ApiKeyRow) -> list[str]:
    """The key's signing secrets, the one that signs first. Raises `Waiting` for envelopes that our
    keys do not open."""
    return [
        sealing.open(envelope, table=TABLE, row=row.id, column=SECRETS_COLUMN)
        for envelope in row.signing_secrets or ()
    ]


async def check_key(connection: Connection, key: str) -> ApiKeyRow | None:
    """The row of a key that may be used now; None for every other text, with the same work."""
    shape = _KEY.fullmatch(key)
    row = await ApiKeys(connection).find_by_prefix(key_prefix=shape[1] if shape else "")
    same = hmac.compare_digest(key_digest(key), row.key_hash if row else _NOBODY)
    usable = row is not None and row.revoked_at is None and not row.expired
    return row if same and usable else None


def _new(id_: UUID, signing_secret: str | None) -> NewKey:
    prefix = secrets.token_hex(6)
    return NewKey(id_, prefix, f"yte_{prefix}_{secrets.token_urlsafe(32)}", signing_secret)


def key_digest(key: str) -> str:
    """The SHA-256 under which a key is stored."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _sealed(sealing: SecretKeys, made: NewKey) -> list[dict[str, object]] | None:
    if made.signing_secret is None:
        return None
    return [sealing.seal(made.signing_secret, table=TABLE, row=made.id, column=SECRETS_COLUMN)]


@dataclass
class _Block:
    """What this server may still admit of one key."""

    hour: datetime | None = None
    left: int = 0
    ends: float = 0.0
    exhausted_until: float = 0.0
    marked: float = -math.inf
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class HourlyLimits:
    """Admits requests of a key up to its limit an hour, over all servers of the database.

    Requests are leased from the database in blocks, so most are admitted from memory. What a
    server leased and did not use is given back by `close`, and lost if it is killed: the limit is
    never exceeded.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._blocks: dict[UUID, _Block] = {}

    async def admit(self, row: ApiKeyRow) -> float | None:
        """Count one request. None: go on; else the seconds until the next hour begins."""
        block = self._blocks.setdefault(row.id, _Block())
        async with block.lock:
            now = time.monotonic()
            if now - block.marked > MARK_USED_SECONDS:
                async with acquired(self._pool) as connection:
                    await ApiKeys(connection).mark_used(id_=row.id)
                block.marked = now
            if block.left == 0 or now >= block.ends:
                if now < block.exhausted_until:
                    return block.exhausted_until - now
                if not await self._lease(row, block):
                    return max(0.0, block.exhausted_until - time.monotonic())
            block.left -= 1
            return None

    async def close(self) -> None:
        """Give back what is left of this hour's blocks."""
        now = time.monotonic()
        with suppress(DatabaseError):  # what cannot be given back is lost to this hour only
            async with transaction(self._pool) as connection:
                for id_, block in self._blocks.items():
                    if block.hour is not None and block.left and now < block.ends:
                        await ApiKeys(connection).return_unused(
                            id_=id_, hour=block.hour, unused=block.left
                        )
        self._blocks.clear()

    async def _lease(self, row: ApiKeyRow, block: _Block) -> bool:
        async with transaction(self._pool) as connection:
            keys = ApiKeys(connection)
            lease = await keys.lease(id_=row.id, rate_limit=row.rate_limit, most=LARGEST_BLOCK)
            seconds_left = lease.seconds_left if lease else await keys.hour_left()
        until = time.monotonic() + seconds_left
        if lease is None:
            # Asked again soon: another server may give back what it did not use.
            block.left, block.exhausted_until = 0, min(until, time.monotonic() + 1.0)
            return False
        block.hour, block.left, block.ends = lease.hour, lease.granted, until
        return True
