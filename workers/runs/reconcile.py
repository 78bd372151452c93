"""What the queue lost, the runs know: the reconciler, which every worker may run at any time.

The run table is the truth and the queue a hint. A run that is to go on by itself and has no live
job gets one; one whose job ended without it (quarantined after crashes, failed or cancelled by
hand) fails with the job's error; one that is past its deadline ends as `timeout`.

The deadline counts time at work. Time in which a run waits for a person, for its next try, or for a
worker to take its job is not the run's fault: the deadline moves by it.
"""

from uuid import UUID

import structlog

from db.pool import Connection, Pool, acquired, transaction
from db.repositories.run_control import RunControl
from pipeline.domain import ExecutionStatus, StageName, StepStatus
from workers.runs.ending import HeldRun, end_run, hold_run
from workers.runs.starting import enqueue_step

log = structlog.get_logger()

BATCH = 1000
LIVE = frozenset({"pending", "processing"})
LOST = frozenset({"failed", "aborted", "cancelled"})
CLAIMABLE = frozenset(
    {StepStatus.PENDING, StepStatus.RUNNING, StepStatus.RETRYING, StepStatus.WAITING}
)
GOING_ON = frozenset(
    {
        ExecutionStatus.PENDING,
        ExecutionStatus.QUEUED,
        ExecutionStatus.RUNNING,
        ExecutionStatus.RETRYING,
    }
)


async def reconcile(pool: Pool) -> int:
    """Put every run right that needs it; how many did. Each is a transaction of its own, so that
    one that fails, or that another process is at, keeps none of the others."""
    async with acquired(pool) as connection:
        astray = await RunControl(connection).list_astray(most=BATCH)
    mended = 0
    for execution_id in astray:
        async with transaction(pool) as connection:
            mended += await _put_right(connection, execution_id)
    return mended


async def _put_right(connection: Connection, execution_id: UUID) -> bool:
    control = RunControl(connection)
    if not await control.lock_astray(execution_id=execution_id):
        return False
    run = await hold_run(connection, execution_id)
    if run.status not in GOING_ON:
        return False
    standing = await control.get_standing(execution_id=execution_id)
    if standing.overdue:
        await _end(connection, run, ExecutionStatus.TIMEOUT, "not done by its deadline", "timeout")
        return True
    if standing.job_status in LIVE:
        return False
    if run.current is None:
        told = f"the run stands at step {run.row.current_step}, which it does not have"
        await _end(connection, run, ExecutionStatus.FAILED, told, "no step")
        return True
    if standing.job_status in LOST:
        reason = standing.last_error or f"its job was {standing.job_status}"
        kind = f"job {standing.job_status}"
        await _end(connection, run, ExecutionStatus.FAILED, reason, kind)
        return True
    if standing.step_status not in CLAIMABLE:
        # No job could take it: what a run and its step say was changed by hand, one without the
        # other.
        reason = standing.step_error or f"its step is {standing.step_status} already"
        await _end(connection, run, ExecutionStatus.FAILED, reason, f"step {standing.step_status}")
        return True
    job_id = await enqueue_step(
        connection,
        execution_id=execution_id,
        stage=StageName(run.current.step_name),
        priority=run.row.priority,
        at=run.row.next_retry_at if run.status is ExecutionStatus.RETRYING else None,
    )
    log.warning("run.job_replaced", run=str(execution_id), step=run.current.step_name, job=job_id)
    return True


async def _end(
    connection: Connection, run: HeldRun, status: ExecutionStatus, reason: str, kind: str
) -> None:
    await end_run(connection, run, status=status, reason=reason, kind=kind)
    log.warning("run.ended_by_reconciler", run=str(run.id), status=status.value, reason=reason)
