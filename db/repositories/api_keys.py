"""API keys, and how many requests of the hour each has left."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.statements import load

_SQL = load("api_key")


@dataclass(frozen=True, slots=True)
class ApiKeyRow:
    """A key without its secret: `key_hash` is the SHA-256 of the whole key, `signing_secrets` are
    envelopes (the first signs, all verify). `expired` is told by the database's clock."""

    id: UUID
    name: str
    key_prefix: str
    key_hash: str
    permissions: Sequence[str]
    rate_limit: int
    signing_secrets: Sequence[Mapping[str, Any]] | None
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime
    expired: bool


@dataclass(frozen=True, slots=True)
class Lease:
    """`granted` requests that this server may admit until the hour ends."""

    hour: datetime
    granted: int
    seconds_left: float


ROWS = {
    "api_key_find": ApiKeyRow,
    "api_key_find_by_prefix": ApiKeyRow,
    "api_key_list": ApiKeyRow,
    "api_key_list_signing": ApiKeyRow,
    "api_key_lease": Lease,
}


class ApiKeys:
    """Statements of `api_key.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(
        self,
        *,
        id_: UUID,
        name: str,
        key_prefix: str,
        key_hash: str,
        permissions: Sequence[str],
        rate_limit: int,
        signing_secrets: Sequence[Mapping[str, Any]] | None,
        expires_at: datetime | None,
    ) -> bool:
        """False when a key with this name is in use."""
        row = await _SQL["api_key_insert"].maybe(
            self._connection,
            id=id_,
            name=name,
            key_prefix=key_prefix,
            key_hash=key_hash,
            permissions=builtins.list(permissions),
            rate_limit=rate_limit,
            signing_secrets=signing_secrets,
            expires_at=expires_at,
        )
        return row is not None

    async def find(self, *, name: str) -> ApiKeyRow | None:
        """The key in use under this name, locked for the transaction."""
        row = await _SQL["api_key_find"].maybe(self._connection, name=name)
        return ApiKeyRow(**row) if row else None

    async def find_by_prefix(self, *, key_prefix: str) -> ApiKeyRow | None:
        row = await _SQL["api_key_find_by_prefix"].maybe(self._connection, key_prefix=key_prefix)
        return ApiKeyRow(**row) if row else None

    async def list(self) -> builtins.list[ApiKeyRow]:
        """All keys ever made, oldest first."""
        return [ApiKeyRow(**row) for row in await _SQL["api_key_list"].many(self._connection)]

    async def list_signing(self, *, most: int) -> builtins.list[ApiKeyRow]:
        """Keys with signing secrets that are neither revoked nor expired."""
        rows = await _SQL["api_key_list_signing"].many(self._connection, most=most)
        return [ApiKeyRow(**row) for row in rows]

    async def mark_rotated(
        self,
        *,
        id_: UUID,
        key_prefix: str,
        key_hash: str,
        signing_secrets: Sequence[Mapping[str, Any]] | None,
    ) -> None:
        await _SQL["api_key_mark_rotated"].exec(
            self._connection,
            id=id_,
            key_prefix=key_prefix,
            key_hash=key_hash,
            signing_secrets=signing_secrets,
        )

    async def mark_revoked(self, *, name: str) -> bool:
        """False when no key in use has this name."""
        return bool(await _SQL["api_key_mark_revoked"].exec(self._connection, name=name))

    async def mark_used(self, *, id_: UUID) -> None:
        await _SQL["api_key_mark_used"].exec(self._connection, id=id_)

    async def lease(self, *, id_: UUID, rate_limit: int, most: int) -> Lease | None:
        """Up to `most` requests of the running hour; None when the limit is used up."""
        await _SQL["api_key_open_hour"].exec(self._connection, api_key_id=id_)
        row = await _SQL["api_key_lease"].maybe(
            self._connection, api_key_id=id_, rate_limit=rate_limit, most=most
        )
        return Lease(**row) if row else None

    async def hour_left(self) -> float:
        """Seconds until the database's hour ends."""
        row = await _SQL["api_key_hour_left"].one(self._connection)
        return float(row["seconds_left"])

    async def return_unused(self, *, id_: UUID, hour: datetime, unused: int) -> None:
        """Give back what a server leased and did not use."""
        await _SQL["api_key_return"].exec(
            self._connection, api_key_id=id_, hour=hour, unused=unused
        )

    async def delete_usage(self, *, older_than_seconds: float) -> int:
        """Forget hours that are over; how many."""
        return await _SQL["api_key_delete_usage"].exec(
            self._connection, older_than_seconds=older_than_seconds
        )
