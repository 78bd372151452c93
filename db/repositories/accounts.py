"""Accounts and their reservations."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.statements import load

_SQL = load("account")


@dataclass(frozen=True, slots=True)
class Account:
    """An account that may upload; `channel_id` is the host's channel its credential belongs to."""

    id: UUID
    email: str
    provider: str
    channel_id: str | None
    health_score: Decimal
    uploads_today: int
    upload_limit: int


ROWS = {
    "account_get": Account,
    "account_find_held": Account,
    "account_lock_eligible": Account,
}


class Accounts:
    """Statements of `account.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(
        self,
        *,
        email: str,
        account_name: str,
        provider: str,
        channel_id: str,
        credentials: Mapping[str, Any],
        upload_limit: int,
    ) -> UUID:
        row = await _SQL["account_insert"].one(
            self._connection,
            email=email,
            account_name=account_name,
            provider=provider,
            channel_id=channel_id,
            credentials=credentials,
            upload_limit=upload_limit,
        )
        id_: UUID = row["id"]
        return id_

    async def allow(self, *, channel_id: UUID, account_id: UUID, is_primary: bool) -> None:
        await _SQL["account_allow"].exec(
            self._connection, channel_id=channel_id, account_id=account_id, is_primary=is_primary
        )

    async def get(self, *, account_id: UUID) -> Account:
        return Account(**await _SQL["account_get"].one(self._connection, account_id=account_id))

    async def find_held(self, *, execution_id: UUID) -> Account | None:
        row = await _SQL["account_find_held"].maybe(self._connection, execution_id=execution_id)
        return Account(**row) if row else None

    async def lock_eligible(self, *, channel_id: UUID) -> Account | None:
        row = await _SQL["account_lock_eligible"].maybe(self._connection, channel_id=channel_id)
        return Account(**row) if row else None

    async def charge(self, *, account_id: UUID) -> bool:
        """Count one upload; False when the day's uploads are used up."""
        return bool(await _SQL["account_charge"].exec(self._connection, account_id=account_id))

    async def hold(self, *, execution_id: UUID, account_id: UUID) -> None:
        await _SQL["account_hold"].exec(
            self._connection, execution_id=execution_id, account_id=account_id
        )

    async def spend(self, *, execution_id: UUID) -> None:
        await _SQL["account_spend"].exec(self._connection, execution_id=execution_id)

    async def next_day(self) -> datetime:
        """The next midnight in Los Angeles."""
        at: datetime = (await _SQL["account_next_day"].one(self._connection))["at"]
        return at

    async def count_allowed(self, *, channel_id: UUID) -> int:
        row = await _SQL["account_count_allowed"].one(self._connection, channel_id=channel_id)
        return int(row["n"])
