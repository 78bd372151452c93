"""Reservations of accounts, and the rows they lock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from db.pool import Connection
from db.statements import load

_SQL = load("reservation")

HELD_EACH = 20


@dataclass(frozen=True, slots=True)
class MomentRow:
    now: datetime
    today: date
    midnight: datetime


@dataclass(frozen=True, slots=True)
class ChannelAccounts:
    """What a channel says about its accounts; `preferred_id` serves before all others."""

    preferred_id: UUID | None
    has_playlist: bool
    account_ids: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An account that may serve, locked. `project` is None on the embedded host."""

    id: UUID
    email: str
    provider: str
    channel_id: str | None
    project: str | None
    is_active: bool
    is_reserve: bool
    state: str
    health_score: Decimal
    health_changed_at: datetime
    uploads_today: int
    upload_limit: int
    quota_used_today: int
    quota_limit: int
    quota_date: date
    cooldown_until: datetime | None
    last_upload_at: datetime | None
    consecutive_errors: int


@dataclass(frozen=True, slots=True)
class HeldUnits:
    """What a held reservation gives back when it ends: units not drawn, by bucket."""

    execution_id: UUID
    account_id: UUID
    project: str | None
    expires_at: datetime
    units: Mapping[str, int]
    uploads: int


@dataclass(frozen=True, slots=True)
class Held:
    id: UUID
    account_id: UUID
    quota_date: date
    units: Mapping[str, int]
    drawn: Mapping[str, int]
    covers: Sequence[str]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Over:
    """A held reservation that is to end."""

    id: UUID
    execution_id: UUID
    account_id: UUID
    quota_date: date


@dataclass(frozen=True, slots=True)
class Ended:
    """A reservation that ended just now, with what is to be settled."""

    execution_id: UUID
    account_id: UUID
    quota_date: date
    units: Mapping[str, int]
    drawn: Mapping[str, int]
    uploads: int
    sent: bool


ROWS = {
    "reservation_moment": MomentRow,
    "reservation_get_channel": ChannelAccounts,
    "reservation_lock_accounts": Candidate,
    "reservation_find_held": Held,
    "reservation_list_over": Over,
    "reservation_end": Ended,
}


class Reservations:
    """Statements of `reservation.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def moment(self, *, at: datetime | None) -> MomentRow:
        return MomentRow(**await _SQL["reservation_moment"].one(self._connection, at=at))

    async def get_channel(self, *, channel_id: UUID) -> ChannelAccounts:
        row = await _SQL["reservation_get_channel"].one(self._connection, channel_id=channel_id)
        return ChannelAccounts(**row)

    async def lock_accounts(self, *, account_ids: Sequence[UUID]) -> list[Candidate]:
        rows = await _SQL["reservation_lock_accounts"].many(
            self._connection, account_ids=account_ids
        )
        return [Candidate(**row) for row in rows]

    async def exists_overdue(
        self, *, account_ids: Sequence[UUID], projects: Sequence[str], day: date, now: datetime
    ) -> bool:
        row = await _SQL["reservation_exists_overdue"].one(
            self._connection, account_ids=account_ids, projects=projects, day=day, now=now
        )
        return bool(row["found"])

    async def list_held(
        self, *, account_ids: Sequence[UUID], projects: Sequence[str], day: date
    ) -> list[HeldUnits]:
        """The first `HELD_EACH` of each account to run out."""
        rows = await _SQL["reservation_list_held"].many(
            self._connection,
            account_ids=account_ids,
            projects=projects,
            day=day,
            each=HELD_EACH,
        )
        return [
            HeldUnits(
                row["execution_id"],
                row["account_id"],
                row["project"],
                row["expires_at"],
                undrawn(row["units"], row["drawn"]),
                0 if row["drawn"].get("videos.insert") else row["uploads"],
            )
            for row in rows
        ]

    async def find_held(self, *, execution_id: UUID) -> Held | None:
        row = await _SQL["reservation_find_held"].maybe(self._connection, execution_id=execution_id)
        return Held(**row) if row else None

    async def grant(
        self,
        *,
        execution_id: UUID,
        account_id: UUID,
        project: str | None,
        day: date,
        units: Mapping[str, int],
        account_units: int,
        covers: Sequence[str],
        uploads: int,
        now: datetime,
        expires_at: datetime,
    ) -> UUID | None:
        """Charge and reserve in one statement: a reservation of the run, or more units in the one
        that it holds. None when a guard refuses, or it holds one of another account or day; then
        the transaction must not be committed. `units` are charged on the project, by bucket."""
        row = await _SQL["reservation_grant"].maybe(
            self._connection,
            execution_id=execution_id,
            account_id=account_id,
            project=project,
            day=day,
            buckets=list(units),
            bucket_units=list(units.values()),
            uploads=uploads,
            account_units=account_units,
            units=units,
            covers=covers,
            now=now,
            expires_at=expires_at,
        )
        return row["id"] if row else None

    async def extend(self, *, reservation_id: UUID, expires_at: datetime) -> None:
        await _SQL["reservation_extend"].exec(
            self._connection, reservation_id=reservation_id, expires_at=expires_at
        )

    async def draw(
        self,
        *,
        reservation_id: UUID | None,
        account_id: UUID,
        bucket: str,
        units: int,
        method: str,
        at: datetime | None,
        hold_seconds: float,
    ) -> int:
        """Take units out of a held reservation of today, this one or one of the account that covers
        the method; those it did not cover."""
        row = await _SQL["reservation_draw"].maybe(
            self._connection,
            reservation_id=reservation_id,
            bucket=bucket,
            units=units,
            method=method,
            at=at,
            hold_seconds=hold_seconds,
            account_id=account_id,
        )
        return int(row["uncovered"]) if row else units

    async def list_over(
        self, *, at: datetime | None = None, execution_id: UUID | None = None
    ) -> list[Over]:
        rows = await _SQL["reservation_list_over"].many(
            self._connection, at=at, execution_id=execution_id
        )
        return [Over(**row) for row in rows]

    async def end(
        self, *, reservation_id: UUID, status: str, reason: str, overdue_at: datetime | None
    ) -> Ended | None:
        row = await _SQL["reservation_end"].maybe(
            self._connection,
            reservation_id=reservation_id,
            status=status,
            reason=reason,
            overdue_at=overdue_at,
        )
        return Ended(**row) if row else None

    async def count_ended(self, *, execution_id: UUID, reason: str) -> int:
        row = await _SQL["reservation_count_ended"].one(
            self._connection, execution_id=execution_id, reason=reason
        )
        return int(row["n"])

    async def refund_account(
        self, *, account_id: UUID, day: date, uploads: int, units: int, total_units: int
    ) -> None:
        await _SQL["reservation_refund_account"].exec(
            self._connection,
            account_id=account_id,
            day=day,
            uploads=uploads,
            units=units,
            total_units=total_units,
        )

    async def count_upload(self, *, account_id: UUID, now: datetime) -> None:
        await _SQL["reservation_count_upload"].exec(
            self._connection, account_id=account_id, now=now
        )


def undrawn(units: Mapping[str, int], drawn: Mapping[str, int]) -> dict[str, int]:
    """What is left of a reservation's units, by bucket."""
    left = {bucket: max(held - drawn.get(bucket, 0), 0) for bucket, held in units.items()}
    return {bucket: rest for bucket, rest in left.items() if rest}
