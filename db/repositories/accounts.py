"""Accounts and their reservations."""

from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account as it is shown; no secret of it. `channels` are names of ours."""

    id: UUID
    email: str
    account_name: str | None
    provider: str
    channel_id: str | None
    channel_handle: str | None
    quota_project_id: str | None
    is_active: bool
    is_reserve: bool
    state: str
    health_score: Decimal
    uploads_today: int
    upload_limit: int
    quota_used_today: int
    quota_limit: int
    cooldown_until: datetime | None
    token_expires_at: datetime | None
    last_upload_at: datetime | None
    granted_scopes: Sequence[str]
    created_at: datetime
    channels: Sequence[str]


ROWS = {
    "account_list": AccountRow,
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

    async def find_hindrance(self, *, account_id: UUID) -> tuple[str, datetime | None] | None:
        """The state that keeps the account from serving, and its end if it ends by itself; None
        when it can serve."""
        row = await _SQL["account_find_hindrance"].maybe(self._connection, account_id=account_id)
        return (row["state"], row["until"]) if row else None

    async def find_reader(self) -> Account | None:
        """The YouTube account for questions that any of them may ask; None when none can serve."""
        row = await _SQL["account_find_reader"].maybe(self._connection)
        return await self.get(account_id=row["id"]) if row else None

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

    async def next_chance(self, *, channel_id: UUID) -> datetime:
        """When the first account of the channel may serve again by itself."""
        row = await _SQL["account_next_chance"].one(self._connection, channel_id=channel_id)
        at: datetime = row["at"]
        return at

    async def list_unusable(self, *, channel_id: UUID) -> "list[tuple[str, str]]":
        """Email and state of the channel's accounts that a person must see to."""
        rows = await _SQL["account_list_unusable"].many(self._connection, channel_id=channel_id)
        return [(row["email"], row["state"]) for row in rows]

    async def has_other(self, *, channel_id: UUID, account_id: UUID, other_project: bool) -> bool:
        row = await _SQL["account_has_other"].one(
            self._connection,
            channel_id=channel_id,
            account_id=account_id,
            other_project=other_project,
        )
        return bool(row["found"])

    async def afflict(
        self,
        *,
        account_id: UUID,
        event: str,
        reason: str,
        state: str | None,
        until: datetime | None,
        health_loss: int,
        whole_project: bool,
    ) -> None:
        """Change state and health, with an event; `state` None leaves it."""
        await _SQL["account_afflict"].exec(
            self._connection,
            account_id=account_id,
            event=event,
            reason=reason,
            state=state,
            until=until,
            health_loss=health_loss,
            whole_project=whole_project,
        )

    async def release(self, *, execution_id: UUID) -> None:
        await _SQL["account_release"].exec(self._connection, execution_id=execution_id)

    async def count_released(self, *, execution_id: UUID) -> int:
        row = await _SQL["account_count_released"].one(self._connection, execution_id=execution_id)
        return int(row["n"])

    async def notify(self, *, account_id: UUID, reason: str, title: str, message: str) -> None:
        await _SQL["account_notify"].exec(
            self._connection, account_id=account_id, reason=reason, title=title, message=message
        )

    async def lock_named(self, *, email: str, channel_id: str) -> UUID | None:
        row = await _SQL["account_lock_named"].maybe(
            self._connection, email=email, channel_id=channel_id
        )
        return row["id"] if row else None

    async def add(
        self,
        *,
        account_id: UUID,
        email: str,
        account_name: str,
        channel_id: str,
        channel_handle: str | None,
        credentials: Mapping[str, Any],
        scopes: Sequence[str],
        token_expires_at: datetime,
        project: str,
        is_reserve: bool,
        upload_limit: int,
        quota_limit: int,
    ) -> None:
        """Add a YouTube account, or authorise the one with this id anew."""
        await _SQL["account_add"].exec(
            self._connection,
            account_id=account_id,
            email=email,
            account_name=account_name,
            channel_id=channel_id,
            channel_handle=channel_handle,
            credentials=credentials,
            scopes=scopes,
            token_expires_at=token_expires_at,
            project=project,
            is_reserve=is_reserve,
            upload_limit=upload_limit,
            quota_limit=quota_limit,
        )

    async def record_event(self, *, account_id: UUID, event: str, reason: str) -> None:
        await _SQL["account_record_event"].exec(
            self._connection, account_id=account_id, event=event, reason=reason
        )

    async def credentials(self, *, account_id: UUID) -> Mapping[str, Any]:
        """The sealed credentials."""
        row = await _SQL["account_get_credentials"].one(self._connection, account_id=account_id)
        sealed: Mapping[str, Any] = row["credentials"]
        return sealed

    async def set_credentials(
        self,
        *,
        account_id: UUID,
        credentials: Mapping[str, Any],
        scopes: Sequence[str],
        token_expires_at: datetime,
    ) -> None:
        await _SQL["account_set_credentials"].exec(
            self._connection,
            account_id=account_id,
            credentials=credentials,
            scopes=scopes,
            token_expires_at=token_expires_at,
        )

    async def lock_refresh(self, *, account_id: UUID) -> None:
        """Wait until nobody else refreshes this account's token; held to the transaction's end."""
        await _SQL["account_lock_refresh"].one(self._connection, account_id=account_id)

    async def list(self, *, only: str | None = None) -> "list[AccountRow]":
        """All accounts, or those of an email or the start of an id."""
        rows = await _SQL["account_list"].many(self._connection, only=only)
        return [AccountRow(**row) for row in rows]

    async def set_active(self, *, account_id: UUID, is_active: bool) -> None:
        await _SQL["account_set_active"].exec(
            self._connection, account_id=account_id, is_active=is_active
        )

    async def count_allowed(self, *, channel_id: UUID) -> int:
        row = await _SQL["account_count_allowed"].one(self._connection, channel_id=channel_id)
        return int(row["n"])
