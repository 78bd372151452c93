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
    """An account that may upload; `channel_id` is the host's channel its credential belongs to,
    `project` the Cloud project whose quota its requests count on (None: the embedded host).
    `reservation_id` is set where a run holds it."""

    id: UUID
    email: str
    provider: str
    channel_id: str | None
    project: str | None
    reservation_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What trouble and success change of an account, locked."""

    id: UUID
    email: str
    state: str
    cooldown_until: datetime | None
    health_score: Decimal
    health_changed_at: datetime
    consecutive_errors: int
    now: datetime


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account as it is shown; no secret of it. `channels` are names of ours, `past_*` its health
    of the last event over a day ago, `error_*` its last trouble, `now` the database's clock."""

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
    health_changed_at: datetime
    uploads_today: int
    upload_limit: int
    quota_used_today: int
    quota_limit: int
    cooldown_until: datetime | None
    token_expires_at: datetime | None
    grant_expires_at: datetime | None
    last_upload_at: datetime | None
    granted_scopes: Sequence[str]
    total_uploads: int
    created_at: datetime
    channels: Sequence[str]
    past_health: Decimal | None
    past_at: datetime | None
    error_event: str | None
    error_reason: str | None
    error_at: datetime | None
    now: datetime
    resets_at: datetime


@dataclass(frozen=True, slots=True)
class EventRow:
    """Why an account's standing changed."""

    event: str
    reason: str | None
    health_before: Decimal | None
    health_after: Decimal | None
    created_at: datetime


ROWS = {
    "account_list": AccountRow,
    "account_list_events": EventRow,
    "account_get": Account,
    "account_lock_standing": Standing,
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

    async def lock_standing(
        self, *, account_id: UUID, whole_project: bool, at: datetime | None = None
    ) -> "list[Standing]":
        """The account, or all of its Cloud project, locked in the order of their ids."""
        rows = await _SQL["account_lock_standing"].many(
            self._connection, account_id=account_id, whole_project=whole_project, at=at
        )
        return [Standing(**row) for row in rows]

    async def set_standing(
        self,
        *,
        account_id: UUID,
        state: str,
        cooldown_until: datetime | None,
        health: float,
        now: datetime,
        errors: int,
    ) -> None:
        """Write a new standing; `errors` is 1 when it was the account's own trouble, else 0."""
        await _SQL["account_set_standing"].exec(
            self._connection,
            account_id=account_id,
            state=state,
            cooldown_until=cooldown_until,
            health=Decimal(str(round(health, 2))),
            now=now,
            errors=errors,
        )

    async def record_change(
        self,
        *,
        account_id: UUID,
        event: str,
        reason: str,
        before: float,
        after: float,
        at: datetime,
    ) -> None:
        """An event that changed the health."""
        await _SQL["account_record_change"].exec(
            self._connection,
            account_id=account_id,
            event=event,
            reason=reason,
            before=Decimal(str(round(before, 2))),
            after=Decimal(str(round(after, 2))),
            at=at,
        )

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
        is_reserve: bool | None,
        upload_limit: int | None,
        quota_limit: int | None,
        grant_expires_at: datetime | None,
    ) -> None:
        """Add a YouTube account, or authorise the one with this id anew; None keeps what is stored,
        or takes the default."""
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
            grant_expires_at=grant_expires_at,
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
        holder: UUID,
    ) -> bool:
        """Store a renewed token and end the holder's lease; False when the lease was lost."""
        stored = await _SQL["account_set_credentials"].exec(
            self._connection,
            account_id=account_id,
            credentials=credentials,
            scopes=scopes,
            token_expires_at=token_expires_at,
            holder=holder,
        )
        return bool(stored)

    async def take_refresh(
        self, *, account_id: UUID, holder: UUID, lease_seconds: float
    ) -> Mapping[str, Any] | None:
        """The sealed credentials, now ours alone to renew; None while somebody else renews."""
        row = await _SQL["account_take_refresh"].maybe(
            self._connection, account_id=account_id, holder=holder, lease_seconds=lease_seconds
        )
        return row["credentials"] if row else None

    async def list_token_due(self, *, ahead_seconds: float) -> "list[UUID]":
        """Accounts that are to serve and whose token ends within so many seconds."""
        rows = await _SQL["account_list_token_due"].many(
            self._connection, ahead_seconds=ahead_seconds
        )
        return [row["id"] for row in rows]

    async def drop_refresh(self, *, account_id: UUID, holder: UUID) -> None:
        await _SQL["account_drop_refresh"].exec(
            self._connection, account_id=account_id, holder=holder
        )

    async def list(self, *, only: str | None = None) -> "list[AccountRow]":
        """All accounts, or those of an email or the start of an id."""
        rows = await _SQL["account_list"].many(self._connection, only=only)
        return [AccountRow(**row) for row in rows]

    async def list_events(self, *, account_id: UUID, most: int) -> Sequence[EventRow]:
        """The newest first."""
        rows = await _SQL["account_list_events"].many(
            self._connection, account_id=account_id, most=most
        )
        return [EventRow(**row) for row in rows]

    async def list_split_channels(self) -> Sequence[tuple[str, Sequence[str]]]:
        """Channels whose accounts are of several Cloud projects, with these."""
        rows = await _SQL["account_list_split_channels"].many(self._connection)
        return [(row["channel"], row["projects"]) for row in rows]

    async def set_active(self, *, account_id: UUID, is_active: bool) -> None:
        await _SQL["account_set_active"].exec(
            self._connection, account_id=account_id, is_active=is_active
        )
