"""What begins by the clock: scheduled workflows, and the slots of channels."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.statements import load

_SQL = load("schedule")


@dataclass(frozen=True, slots=True)
class DueWorkflow:
    """A scheduled workflow in our hands; `now` is the moment to judge it by."""

    id: UUID
    name: str
    workflow_type: str
    schedule_cron: str | None
    timezone: str
    catch_up: str
    priority: int
    configuration: Mapping[str, Any]
    next_run_at: datetime | None
    channel_name: str | None
    now: datetime


@dataclass(frozen=True, slots=True)
class ProducingChannel:
    """A channel that may begin runs by itself; `now` is the moment to judge it by."""

    id: UUID
    name: str
    timezone: str
    auto_publish: bool
    videos_per_day: int
    upload_schedule: Mapping[str, Any]
    slots_handled_until: datetime | None
    now: datetime


ROWS = {
    "schedule_claim": DueWorkflow,
    "production_list": ProducingChannel,
    "production_claim": ProducingChannel,
}


class Schedules:
    """Statements of `schedule.sql` on one connection; none begins or commits.

    `now` None is the database's clock.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list_due(self, *, now: datetime | None) -> list[UUID]:
        rows = await _SQL["schedule_list_due"].many(self._connection, now=now)
        return [row["id"] for row in rows]

    async def claim(self, *, workflow_id: UUID, now: datetime | None) -> DueWorkflow | None:
        """Locked until the transaction ends; None when it is not due (any more)."""
        row = await _SQL["schedule_claim"].maybe(self._connection, workflow_id=workflow_id, now=now)
        return DueWorkflow(**row) if row else None

    async def set_next(self, *, workflow_id: UUID, next_run_at: datetime | None) -> None:
        await _SQL["schedule_set_next"].exec(
            self._connection, workflow_id=workflow_id, next_run_at=next_run_at
        )

    async def set_outcome(self, *, workflow_id: UUID, status: str, error: str | None) -> None:
        await _SQL["schedule_set_outcome"].exec(
            self._connection, workflow_id=workflow_id, status=status, error=error
        )

    async def refresh_outcomes(self) -> None:
        """Bring what became of each workflow's latest run up to date."""
        await _SQL["schedule_refresh_outcomes"].exec(self._connection)

    async def list_producing(self, *, now: datetime | None) -> list[ProducingChannel]:
        rows = await _SQL["production_list"].many(self._connection, now=now)
        return [ProducingChannel(**row) for row in rows]

    async def claim_channel(
        self, *, channel_id: UUID, now: datetime | None
    ) -> ProducingChannel | None:
        """Locked until the transaction ends; None when another worker is at it."""
        row = await _SQL["production_claim"].maybe(self._connection, channel_id=channel_id, now=now)
        return ProducingChannel(**row) if row else None

    async def count_produced(self, *, channel_id: UUID, prefix: str) -> int:
        """Runs of the channel whose idempotency key begins so."""
        row = await _SQL["production_count"].one(
            self._connection, channel_id=channel_id, prefix=prefix
        )
        return int(row["n"])

    async def set_handled(self, *, channel_id: UUID, until: datetime) -> None:
        await _SQL["production_set_handled"].exec(
            self._connection, channel_id=channel_id, until=until
        )
