"""What people decide about a run, as functions on a connection in the caller's transaction.

    cancel    it stops where it is and ends as cancelled; money spent stays booked
    reject    one that waits for a person fails with the reason, or goes back to a step with it
    approve   one that waits goes on (`workers.runs.starting.approve_run`)
    retry     one that ended goes on from a step (`workers.runs.retry`)

Each raises `NotFound` for an unknown run and `RunConflict` when the run is not in a state for it.
"""

from datetime import UTC, datetime
from uuid import UUID

from db.pool import Connection
from db.repositories.run_control import RunControl
from pipeline.domain import ExecutionStatus, StageName
from workers.runs.ending import end_run, hold_run
from workers.runs.retry import begin_again, step_of
from workers.runs.starting import NotWaiting, RunConflict
from workers.runs.upload_ending import UploadLeft, let_go

_BACK_TO_WRITE = (StageName.TREND_PICK, StageName.SCRIPT)


async def cancel_run(
    connection: Connection, execution_id: UUID, *, by: str, reason: str | None = None
) -> UploadLeft:
    """End a run that is under way, or that waits, as `cancelled`; what becomes of its upload.

    The stage that runs, on whatever host, stops within seconds; a paid call in flight is booked
    when its answer comes. A video that is at its host stays there, private.
    """
    run = await hold_run(connection, execution_id)
    if run.status.ended:
        raise RunConflict(f"run {execution_id} has ended already: {run.status}")
    said = _said("cancelled", by, reason)
    await end_run(connection, run, status=ExecutionStatus.CANCELLED, reason=said, kind="cancelled")
    return await let_go(connection, run)


async def reject_run(
    connection: Connection,
    execution_id: UUID,
    *,
    by: str,
    reason: str,
    to_step: StageName | None = None,
) -> None:
    """Turn down a run that waits for a person: it fails with the reason, or, with `to_step`, does
    that step and those after it again. The reason is then kept in the step's input
    (`rejections`) and shown with the run; an approval given before is void.

    `NotWaiting` when it does not wait; `RunConflict` for a step that is not before the one it waits
    at, or when a film is at its host already.
    """
    run = await hold_run(connection, execution_id)
    if run.status is not ExecutionStatus.WAITING:
        raise NotWaiting(f"run {execution_id} does not wait for a decision: it is {run.status}")
    said = _said("rejected", by, reason)
    if to_step is None:
        await end_run(connection, run, status=ExecutionStatus.FAILED, reason=said, kind="rejected")
        await let_go(connection, run)
        return
    step = step_of(run, to_step)
    if run.current is None or step.step_no >= run.current.step_no:
        raise RunConflict(
            f"run {execution_id} waits at {run.row.current_step}: it can go back to a step before"
            f" that, not to {to_step}"
        )
    await begin_again(connection, run, step)
    await RunControl(connection).add_rejection(
        step_id=step.id,
        rejection={"reason": reason, "by": by, "at": datetime.now(UTC).isoformat()},
    )


async def notes_on_script(connection: Connection, execution_id: UUID) -> list[str]:
    """Why people sent the run back to have its script written anew, oldest first."""
    rejections = await RunControl(connection).list_rejections(execution_id=execution_id)
    return [said.reason for said in rejections if said.step_name in _BACK_TO_WRITE]


def _said(what: str, by: str, reason: str | None) -> str:
    return f"{what} by {by}" + (f": {reason}" if reason else "")
