"""The stages of a run: `workflow_steps`. The fence guards every write of a step."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.statements import load
from pipeline.domain import StageName, StepStatus

_SQL = load("step")


@dataclass(frozen=True, slots=True)
class StepClaim:
    """What a claim got: the fence that later writes must show, and which attempt this is."""

    id: UUID
    fence: int
    attempt: int


@dataclass(frozen=True, slots=True)
class StepState:
    id: UUID
    status: str
    fence: int


@dataclass(frozen=True, slots=True)
class StepListed:
    step_name: str
    status: str
    attempt: int
    started_at: datetime | None
    completed_at: datetime | None
    cost: Decimal
    error_message: str | None
    next_retry_at: datetime | None


@dataclass(frozen=True, slots=True)
class UploadDone:
    """A recorded upload step. `extras` are JSON values of `pipeline.hosting.Extra`."""

    fence: int
    extras: Sequence[Any]


ROWS = {
    "step_claim": StepClaim,
    "step_find": StepState,
    "step_list": StepListed,
    "step_find_upload": UploadDone,
}


class Steps:
    """Statements of `step.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(self, *, execution_id: UUID, step: StageName, step_no: int) -> None:
        await _SQL["step_insert"].exec(
            self._connection, execution_id=execution_id, step=step, step_no=step_no
        )

    async def set_job(self, *, execution_id: UUID, step: StageName, job_id: UUID) -> None:
        await _SQL["step_set_job"].exec(
            self._connection, execution_id=execution_id, step=step, job_id=job_id
        )

    async def claim(self, *, execution_id: UUID, step: StageName, job_id: UUID) -> StepClaim | None:
        """None when the step is done: there is nothing to claim."""
        row = await _SQL["step_claim"].maybe(
            self._connection, execution_id=execution_id, step=step, job_id=job_id
        )
        return StepClaim(**row) if row else None

    async def find(self, *, execution_id: UUID, step: StageName) -> StepState | None:
        row = await _SQL["step_find"].maybe(self._connection, execution_id=execution_id, step=step)
        return StepState(**row) if row else None

    async def list_outputs(self, *, execution_id: UUID) -> dict[StageName, Any]:
        """The recorded outputs of the stages that are done, as JSON values."""
        rows = await _SQL["step_list_outputs"].many(self._connection, execution_id=execution_id)
        return {StageName(row["step_name"]): row["output"] for row in rows}

    async def mark_succeeded(self, *, step_id: UUID, fence: int, output: Any) -> bool:
        """False when the claim is lost."""
        return bool(
            await _SQL["step_mark_succeeded"].exec(
                self._connection, step_id=step_id, fence=fence, output=output
            )
        )

    async def mark_paused(
        self,
        *,
        step_id: UUID,
        fence: int,
        status: StepStatus,
        at: datetime | None,
        delay: timedelta | None,
        error: str,
    ) -> bool:
        """False when the claim is lost."""
        return bool(
            await _SQL["step_mark_paused"].exec(
                self._connection,
                step_id=step_id,
                fence=fence,
                status=status,
                at=at,
                delay=delay,
                error=error,
            )
        )

    async def mark_failed(self, *, step_id: UUID, fence: int, error: str) -> bool:
        """False when the claim is lost."""
        return bool(
            await _SQL["step_mark_failed"].exec(
                self._connection, step_id=step_id, fence=fence, error=error
            )
        )

    async def owned(self, *, step_id: UUID, fence: int) -> bool:
        """Whether the fence still holds; if so the step stays locked for the transaction."""
        row = await _SQL["step_assert_owned"].maybe(self._connection, step_id=step_id, fence=fence)
        return row is not None

    async def find_upload(self, *, execution_id: UUID) -> UploadDone | None:
        """None while the upload is not recorded."""
        row = await _SQL["step_find_upload"].maybe(self._connection, execution_id=execution_id)
        return UploadDone(**row) if row else None

    async def set_extras(self, *, execution_id: UUID, fence: int, extras: Any) -> bool:
        """False when the upload has been taken up again since it was looked at."""
        return bool(
            await _SQL["step_set_extras"].exec(
                self._connection, execution_id=execution_id, fence=fence, extras=extras
            )
        )

    async def find_undressed(self, *, video_id: UUID) -> UUID | None:
        """The run whose video waits for extras that no job sees to."""
        row = await _SQL["step_find_undressed"].maybe(self._connection, video_id=video_id)
        return row["execution_id"] if row else None

    async def list(self, *, execution_id: UUID) -> list[StepListed]:
        rows = await _SQL["step_list"].many(self._connection, execution_id=execution_id)
        return [StepListed(**row) for row in rows]
