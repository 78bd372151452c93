"""Runs as people and the reconciler handle them: ended, rejected, begun again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.statements import load
from pipeline.domain import ExecutionStatus, StageName, StepStatus

_SQL = load("run_control")


@dataclass(frozen=True, slots=True)
class LockedRun:
    id: UUID
    status: str
    current_step: str | None
    priority: int
    video_id: UUID | None
    next_retry_at: datetime | None


@dataclass(frozen=True, slots=True)
class LockedStep:
    id: UUID
    step_name: str
    step_no: int
    status: str
    job_id: UUID | None


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a person sent a run back to a step; `at` in ISO 8601."""

    step_name: str
    reason: str
    by: str
    at: str


@dataclass(frozen=True, slots=True)
class StepCharge:
    """What a step's calls of one operation were charged, in US dollars."""

    step_name: str
    service: str
    operation: str
    calls: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run's present step and its last job stand; None where there is none."""

    job_status: str | None
    last_error: str | None
    step_status: str | None
    step_error: str | None
    overdue: bool


ROWS = {
    "control_get_standing": Standing,
    "control_lock": LockedRun,
    "control_lock_steps": LockedStep,
    "control_list_rejections": Rejection,
    "control_list_charges": StepCharge,
}


class RunControl:
    """Statements of `run_control.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def lock(self, *, execution_id: UUID) -> LockedRun | None:
        row = await _SQL["control_lock"].maybe(self._connection, execution_id=execution_id)
        return LockedRun(**row) if row else None

    async def lock_steps(self, *, execution_id: UUID) -> list[LockedStep]:
        """In the order of the line."""
        rows = await _SQL["control_lock_steps"].many(self._connection, execution_id=execution_id)
        return [LockedStep(**row) for row in rows]

    async def end_step(self, *, step_id: UUID, status: StepStatus, error: str) -> None:
        await _SQL["control_end_step"].exec(
            self._connection, step_id=step_id, status=status, error=error
        )

    async def end(
        self,
        *,
        execution_id: UUID,
        status: ExecutionStatus,
        error: str,
        details: Mapping[str, Any],
    ) -> None:
        await _SQL["control_end"].exec(
            self._connection,
            execution_id=execution_id,
            status=status,
            error=error,
            details=details,
        )

    async def reset_steps(self, *, execution_id: UUID, step_no: int) -> None:
        await _SQL["control_reset_steps"].exec(
            self._connection, execution_id=execution_id, step_no=step_no
        )

    async def add_rejection(self, *, step_id: UUID, rejection: Mapping[str, str]) -> None:
        await _SQL["control_add_rejection"].exec(
            self._connection, step_id=step_id, rejection=rejection
        )

    async def count_remade(self, *, step_id: UUID) -> int:
        """Count that the step's file was damaged; how often that was."""
        row = await _SQL["control_count_remade"].one(self._connection, step_id=step_id)
        return int(row["n"])

    async def list_rejections(self, *, execution_id: UUID) -> list[Rejection]:
        """The oldest first."""
        rows = await _SQL["control_list_rejections"].many(
            self._connection, execution_id=execution_id
        )
        return [Rejection(**row) for row in rows]

    async def restart(
        self, *, execution_id: UUID, step: StageName, items_processed: int, keep_approval: bool
    ) -> None:
        await _SQL["control_restart"].exec(
            self._connection,
            execution_id=execution_id,
            step=step,
            items_processed=items_processed,
            keep_approval=keep_approval,
        )

    async def restart_video(self, *, video_id: UUID, has_film: bool) -> None:
        await _SQL["control_restart_video"].exec(
            self._connection, video_id=video_id, has_film=has_film
        )

    async def list_charges(self, *, execution_id: UUID, step_no: int) -> list[StepCharge]:
        """Of this step and those after it that are done, by operation."""
        rows = await _SQL["control_list_charges"].many(
            self._connection, execution_id=execution_id, step_no=step_no
        )
        return [StepCharge(**row) for row in rows]

    async def list_astray(self, *, most: int) -> list[UUID]:
        """Runs without a live job or past their deadline, those that changed longest ago first."""
        rows = await _SQL["control_list_astray"].many(self._connection, most=most)
        return [row["id"] for row in rows]

    async def lock_astray(self, *, execution_id: UUID) -> bool:
        """False when another transaction has the run."""
        row = await _SQL["control_lock_astray"].maybe(self._connection, execution_id=execution_id)
        return row is not None

    async def get_standing(self, *, execution_id: UUID) -> Standing:
        row = await _SQL["control_get_standing"].one(self._connection, execution_id=execution_id)
        return Standing(**row)
