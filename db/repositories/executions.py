"""Runs of the line: `workflow_executions`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.statements import load
from pipeline.domain import ExecutionStatus, StageName

_SQL = load("execution")


@dataclass(frozen=True, slots=True)
class Execution:
    """A run as its stages need it."""

    id: UUID
    status: str
    video_id: UUID
    trend_id: UUID | None
    trigger_data: Mapping[str, Any]
    priority: int
    publish_at: datetime | None
    channel_id: UUID
    approved_at: datetime | None


@dataclass(frozen=True, slots=True)
class ExecutionApproved:
    current_step: str
    priority: int


@dataclass(frozen=True, slots=True)
class ExecutionState:
    status: str
    current_step: str


@dataclass(frozen=True, slots=True)
class ExecutionListed:
    """A run in a list. `state` holds `progress` (0..1) while a stage runs."""

    id: UUID
    status: str
    current_step: str | None
    cost: Decimal
    error_message: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    next_retry_at: datetime | None
    state: Mapping[str, Any]
    n8n_execution_id: str | None
    channel_id: UUID | None
    channel_name: str | None
    video_id: UUID | None
    title: str | None


@dataclass(frozen=True, slots=True)
class ExecutionOverview(ExecutionListed):
    """A run with what is known of its video."""

    video_status: str | None
    youtube_video_id: str | None
    youtube_url: str | None
    video_path: str | None
    thumbnail_path: str | None
    captions_path: str | None
    duration_seconds: int | None
    path: str | None


@dataclass(frozen=True, slots=True)
class ExecutionWoken:
    """A run that goes on, and the step whose job it needs."""

    execution_id: UUID
    step: str
    priority: int


ROWS = {
    "execution_wake_for_account": ExecutionWoken,
    "execution_approve": ExecutionApproved,
    "execution_lock": ExecutionState,
    "execution_load": Execution,
    "execution_list": ExecutionListed,
    "execution_find_overview": ExecutionOverview,
}


class Executions:
    """Statements of `execution.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(
        self,
        *,
        workflow: str,
        channel_id: UUID,
        video_id: UUID,
        trend_id: UUID | None,
        external_id: str | None,
        trigger_data: Mapping[str, Any],
        idempotency_key: str | None,
        callback_url: str | None,
        priority: int,
        publish_at: datetime | None,
        step: StageName,
    ) -> UUID | None:
        """The id of the new run; None when one with this idempotency key exists."""
        row = await _SQL["execution_insert"].maybe(
            self._connection,
            workflow=workflow,
            channel_id=channel_id,
            video_id=video_id,
            trend_id=trend_id,
            external_id=external_id,
            trigger_data=trigger_data,
            idempotency_key=idempotency_key,
            callback_url=callback_url,
            priority=priority,
            publish_at=publish_at,
            step=step,
        )
        return row["id"] if row else None

    async def find_by_key(self, *, idempotency_key: str) -> UUID | None:
        row = await _SQL["execution_find_by_key"].maybe(
            self._connection, idempotency_key=idempotency_key
        )
        return row["id"] if row else None

    async def lock(self, *, execution_id: UUID) -> ExecutionState | None:
        """Lock the run for the transaction; None when there is no such run."""
        row = await _SQL["execution_lock"].maybe(self._connection, execution_id=execution_id)
        return ExecutionState(**row) if row else None

    async def load(self, *, execution_id: UUID) -> Execution:
        row = await _SQL["execution_load"].one(self._connection, execution_id=execution_id)
        return Execution(**row)

    async def mark_running(self, *, execution_id: UUID, step: StageName) -> None:
        await _SQL["execution_mark_running"].exec(
            self._connection, execution_id=execution_id, step=step
        )

    async def mark_advanced(self, *, execution_id: UUID, next_step: StageName) -> None:
        await _SQL["execution_mark_advanced"].exec(
            self._connection, execution_id=execution_id, next_step=next_step
        )

    async def mark_succeeded(self, *, execution_id: UUID, output_data: Mapping[str, Any]) -> None:
        await _SQL["execution_mark_succeeded"].exec(
            self._connection, execution_id=execution_id, output_data=output_data
        )

    async def mark_paused(
        self,
        *,
        execution_id: UUID,
        status: ExecutionStatus,
        at: datetime | None,
        delay: timedelta | None,
        error: str,
    ) -> None:
        await _SQL["execution_mark_paused"].exec(
            self._connection,
            execution_id=execution_id,
            status=status,
            at=at,
            delay=delay,
            error=error,
        )

    async def approve(self, *, execution_id: UUID, approved_by: str) -> ExecutionApproved | None:
        """None when the run does not wait for anybody."""
        row = await _SQL["execution_approve"].maybe(
            self._connection, execution_id=execution_id, approved_by=approved_by
        )
        return ExecutionApproved(**row) if row else None

    async def mark_failed(
        self, *, execution_id: UUID, error: str, details: Mapping[str, Any]
    ) -> None:
        await _SQL["execution_mark_failed"].exec(
            self._connection, execution_id=execution_id, error=error, details=details
        )

    async def mark_progress(
        self, *, execution_id: UUID, step: StageName, fence: int, progress: float
    ) -> None:
        await _SQL["execution_mark_progress"].exec(
            self._connection, execution_id=execution_id, step=step, fence=fence, progress=progress
        )

    async def list_ids_like(self, *, prefix: str) -> list[UUID]:
        """At most two ids that begin with the prefix."""
        rows = await _SQL["execution_list_ids_like"].many(self._connection, prefix=prefix)
        return [row["id"] for row in rows]

    async def find_overview(self, *, execution_id: UUID) -> ExecutionOverview | None:
        row = await _SQL["execution_find_overview"].maybe(
            self._connection, execution_id=execution_id
        )
        return ExecutionOverview(**row) if row else None

    async def list_active(self, *, channel_id: UUID) -> list[UUID]:
        """The channel's runs that go on by themselves, oldest first."""
        rows = await _SQL["execution_list_active"].many(self._connection, channel_id=channel_id)
        return [row["id"] for row in rows]

    async def wake_for_account(self, *, account_id: UUID) -> "list[ExecutionWoken]":
        """The runs that waited for an account of their channel; they are queued now."""
        rows = await _SQL["execution_wake_for_account"].many(
            self._connection, account_id=account_id
        )
        return [ExecutionWoken(**row) for row in rows]

    async def wake(self, *, execution_id: UUID, step: StageName) -> int | None:
        """The run's priority; None when it does not wait at this step."""
        row = await _SQL["execution_wake"].maybe(
            self._connection, execution_id=execution_id, step=step
        )
        return row["priority"] if row else None

    async def count_going_on(self, *, horizon_seconds: float) -> int:
        row = await _SQL["execution_count_going_on"].one(
            self._connection, horizon_seconds=horizon_seconds
        )
        return int(row["n"])

    async def list(
        self,
        *,
        channel_id: UUID | None = None,
        status: str | None = None,
        before: datetime | None = None,
        before_id: UUID | None = None,
        limit: int = 50,
    ) -> list[ExecutionListed]:
        """Newest first, after the row (before, before_id) when given."""
        rows = await _SQL["execution_list"].many(
            self._connection,
            channel_id=channel_id,
            status=status,
            before=before,
            before_id=before_id,
            limit=limit,
        )
        return [ExecutionListed(**row) for row in rows]
