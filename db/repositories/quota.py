"""The Cloud projects' quota: their buckets of the Pacific day, and what Google grants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.statements import load

_SQL = load("quota")


@dataclass(frozen=True, slots=True)
class BucketRow:
    project: str
    bucket: str
    used: int
    quota_limit: int


@dataclass(frozen=True, slots=True)
class QuotaRow:
    """A project's bucket of today; without a bucket: nothing was used yet."""

    project: str
    bucket: str | None
    used: int | None
    quota_limit: int | None
    quota_date: date
    resets_at: datetime


ROWS = {"quota_lock": BucketRow, "quota_list": QuotaRow}


class Quota:
    """Statements of `quota.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def policy(self) -> Any:
        """The stored policy, as JSON; None when the row is gone."""
        row = await _SQL["quota_get_policy"].maybe(self._connection)
        return row["value"] if row else None

    async def set_policy(self, *, value: Mapping[str, Any]) -> None:
        await _SQL["quota_set_policy"].exec(self._connection, value=value)

    async def open(
        self,
        *,
        projects: Sequence[str],
        buckets: Sequence[str],
        limits: Sequence[int],
        day: date,
    ) -> None:
        """Make the day's rows; the sequences are parallel."""
        await _SQL["quota_open"].exec(
            self._connection, projects=projects, buckets=buckets, limits=limits, day=day
        )

    async def lock(self, *, projects: Sequence[str], day: date) -> list[BucketRow]:
        rows = await _SQL["quota_lock"].many(self._connection, projects=projects, day=day)
        return [BucketRow(**row) for row in rows]

    async def refund(
        self, *, project: str, day: date, buckets: Sequence[str], units: Sequence[int]
    ) -> None:
        await _SQL["quota_refund"].exec(
            self._connection, project=project, day=day, buckets=buckets, units=units
        )

    async def count_sent(
        self, *, project: str, bucket: str, units: int, quota_limit: int, at: datetime | None
    ) -> None:
        await _SQL["quota_count_sent"].exec(
            self._connection,
            project=project,
            bucket=bucket,
            units=units,
            quota_limit=quota_limit,
            at=at,
        )

    async def count_account(
        self, *, account_id: UUID, units: int, total_units: int, at: datetime | None
    ) -> None:
        await _SQL["quota_count_account"].exec(
            self._connection, account_id=account_id, units=units, total_units=total_units, at=at
        )

    async def count_uploads_left(self, *, project: str, day: date) -> int:
        row = await _SQL["quota_count_uploads_left"].one(self._connection, project=project, day=day)
        return int(row["n"])

    async def roll_over(self, *, at: datetime | None = None) -> int:
        """Counters of a day that is over go to 0; of how many accounts."""
        return await _SQL["quota_roll_over"].exec(self._connection, at=at)

    async def prune(self, *, keep_days: int) -> int:
        return await _SQL["quota_prune"].exec(self._connection, keep_days=keep_days)

    async def list(self, *, project: str | None = None) -> "list[QuotaRow]":
        rows = await _SQL["quota_list"].many(self._connection, project=project)
        return [QuotaRow(**row) for row in rows]

    async def set_limit(self, *, project: str, bucket: str, quota_limit: int) -> None:
        await _SQL["quota_set_limit"].exec(
            self._connection, project=project, bucket=bucket, quota_limit=quota_limit
        )
