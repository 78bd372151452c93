"""How a run ends from outside its stages: one function, for people, deadlines and lost jobs.

It runs in the caller's transaction. The run is locked before its steps, as every claim and record
does it: either a stage was recorded before, or nothing of it will be, for its fence is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from db.pool import Connection
from db.repositories.jobs import Jobs
from db.repositories.run_control import LockedRun, LockedStep, RunControl
from db.repositories.videos import Videos
from pipeline.domain import ExecutionStatus, StepStatus
from workers.callbacks.announcing import announce_run
from workers.channels import NotFound


@dataclass(frozen=True, slots=True)
class HeldRun:
    """A run and its steps, locked until the transaction ends."""

    row: LockedRun
    steps: Sequence[LockedStep]

    @property
    def id(self) -> UUID:
        return self.row.id

    @property
    def status(self) -> ExecutionStatus:
        return ExecutionStatus(self.row.status)

    @property
    def current(self) -> LockedStep | None:
        """The step it is at."""
        return next((s for s in self.steps if s.step_name == self.row.current_step), None)


async def hold_run(connection: Connection, execution_id: UUID) -> HeldRun:
    """Lock the run and its steps. Raises `NotFound`."""
    control = RunControl(connection)
    row = await control.lock(execution_id=execution_id)
    if row is None:
        raise NotFound(f"there is no run {execution_id}")
    return HeldRun(row, await control.lock_steps(execution_id=execution_id))


async def end_run(
    connection: Connection,
    run: HeldRun,
    *,
    status: ExecutionStatus,
    reason: str,
    kind: str,
) -> None:
    """End a run that is under way as `status`; `kind` is the class in its error details.

    Its step ends with it and gets a fence that nobody has; its jobs are cancelled, and a worker
    that is at one of them is told to stop within a second. What was booked stays booked.
    """
    control, current = RunControl(connection), run.current
    if current is not None:
        ended = StepStatus.FAILED
        if status is ExecutionStatus.CANCELLED:
            ended = StepStatus.CANCELLED
        await control.end_step(step_id=current.id, status=ended, error=reason)
    await cancel_jobs(connection, run, note=reason)
    said = reason if current is None else f"{current.step_name}: {reason}"
    await control.end(
        execution_id=run.id,
        status=status,
        error=said,
        details={"step": run.row.current_step, "class": kind},
    )
    if run.row.video_id is not None:
        await Videos(connection).set_failed(video_id=run.row.video_id, error=said)
        await Videos(connection).sum_cost(video_id=run.row.video_id)
    await announce_run(connection, execution_id=run.id)


async def cancel_jobs(connection: Connection, run: HeldRun, *, note: str) -> None:
    """Cancel the run's waiting jobs and ask its running ones to abort."""
    for step in run.steps:
        if step.job_id is not None:
            await Jobs(connection).cancel(step.job_id, note=note)
