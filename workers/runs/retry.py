"""A run that goes on from a step: what is kept, what is done again, what is paid again."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.errors import UniqueViolated
from db.pool import Connection
from db.repositories.calls import Calls
from db.repositories.run_control import LockedStep, RunControl, StepCharge
from db.repositories.uploads import Upload, Uploads
from pipeline.domain import ExecutionStatus, StageName, StepStatus
from workers.accounts.quota_charges import release
from workers.runs.ending import HeldRun, cancel_jobs, hold_run
from workers.runs.starting import RunConflict, enqueue_step
from workers.runs.upload_ending import recall

#: A run in one of these rests: it may be told to go on now.
RESTING = frozenset(
    {
        ExecutionStatus.FAILED,
        ExecutionStatus.CANCELLED,
        ExecutionStatus.TIMEOUT,
        ExecutionStatus.WAITING,
        ExecutionStatus.RETRYING,
    }
)
ONE_ACTIVE = "uq_exec_one_active_per_video"


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """What a retry would do. `paid_again` is what the steps that are done again were charged, by
    operation: the estimate of what they will be."""

    execution_id: UUID
    from_step: StageName
    kept: Sequence[str]
    again: Sequence[str]
    paid_again: Sequence[StepCharge]

    @property
    def estimate(self) -> Decimal:
        """US dollars."""
        return sum((charge.amount for charge in self.paid_again), Decimal(0))

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "execution_id": self.execution_id,
            "from_step": self.from_step.value,
            "kept": list(self.kept),
            "again": list(self.again),
            "paid_again": {
                "estimate": self.estimate,
                "charges": [
                    {
                        "step": charge.step_name,
                        "service": charge.service,
                        "operation": charge.operation,
                        "calls": charge.calls,
                        "amount": charge.amount,
                    }
                    for charge in self.paid_again
                    if charge.amount
                ],
            },
        }


async def plan_retry(
    connection: Connection, execution_id: UUID, *, from_step: StageName | None = None
) -> RetryPlan:
    """What `retry_run` would do now; changes nothing. Raises what that raises."""
    run = await hold_run(connection, execution_id)
    return await _plan(connection, run, await _first(connection, run, from_step))


async def retry_run(
    connection: Connection, execution_id: UUID, *, from_step: StageName | None = None
) -> RetryPlan:
    """Let a run go on from a step, by default the one it stands at, in the caller's transaction.

    What was recorded before that step is used as it is. A run that waits or retries goes on now; a
    review it waits for, it waits for again. Raises `NotFound`; `RunConflict` for a run that is at
    work or has succeeded, for a step it has not come to, and for one before the upload of a film
    that is, or may be, at its host.
    """
    run = await hold_run(connection, execution_id)
    step = await _first(connection, run, from_step)
    plan = await _plan(connection, run, step)
    await begin_again(connection, run, step)
    return plan


async def begin_again(
    connection: Connection, run: HeldRun, step: LockedStep, *, anew: bool = True
) -> None:
    """Reset this step and those after it and enqueue its job; with `anew`, what was paid for is
    asked for again. Raises `RunConflict`."""
    untouched = await _refuse_second_film(connection, run, step)
    if run.row.video_id is not None:
        await recall(connection, run.row.video_id)
    if untouched is not None and await Uploads(connection).abandon(upload_id=untouched.id):
        await release(connection, run.id, reason="retried")
    await cancel_jobs(connection, run, note=f"the run goes on from {step.step_name}")
    for done in run.steps:
        if anew and done.step_no >= step.step_no and done.status == StepStatus.SUCCESS:
            # It is done again for another result: the stored answers would lead to the same one.
            await Calls(connection).set_aside(step_id=done.id, reason="the step is done again")
    control = RunControl(connection)
    await control.reset_steps(execution_id=run.id, step_no=step.step_no)
    new_film = step.step_no <= step_of(run, StageName.RENDER).step_no
    try:
        await control.restart(
            execution_id=run.id,
            step=StageName(step.step_name),
            items_processed=step.step_no - 1,
            keep_approval=not new_film,
        )
    except UniqueViolated as error:
        if error.constraint != ONE_ACTIVE:
            raise
        raise RunConflict(
            f"another run makes the video of run {run.id}: cancel it first"
        ) from error
    if run.row.video_id is not None:
        await control.restart_video(video_id=run.row.video_id, has_film=not new_film)
    await enqueue_step(
        connection,
        execution_id=run.id,
        stage=StageName(step.step_name),
        priority=run.row.priority,
    )


def step_of(run: HeldRun, stage: StageName) -> LockedStep:
    """The run's row of a stage."""
    return next(step for step in run.steps if step.step_name == stage)


async def _first(connection: Connection, run: HeldRun, from_step: StageName | None) -> LockedStep:
    if run.status is ExecutionStatus.SUCCESS:
        raise RunConflict(f"run {run.id} has succeeded: start a new run for another video")
    if run.status not in RESTING:
        raise RunConflict(f"run {run.id} is {run.status}: cancel it first")
    if run.current is None:
        raise RunConflict(f"run {run.id} stands at no step that it has")
    step = run.current if from_step is None else step_of(run, from_step)
    if step.step_no > run.current.step_no:
        raise RunConflict(
            f"run {run.id} stands at {run.current.step_name}: it has not come to {from_step} yet"
        )
    await _refuse_second_film(connection, run, step)
    return step


async def _plan(connection: Connection, run: HeldRun, step: LockedStep) -> RetryPlan:
    return RetryPlan(
        execution_id=run.id,
        from_step=StageName(step.step_name),
        kept=[each.step_name for each in run.steps if each.step_no < step.step_no],
        again=[
            each.step_name
            for each in run.steps
            if each.step_no >= step.step_no and each.status != StepStatus.PENDING
        ],
        paid_again=await RunControl(connection).list_charges(
            execution_id=run.id, step_no=step.step_no
        ),
    )


async def _refuse_second_film(
    connection: Connection, run: HeldRun, step: LockedStep
) -> Upload | None:
    """A film that is at its host, or may be, is the only one of this video there will be. The
    attempt that another film may take the place of, for not a byte of it was sent."""
    if run.row.video_id is None or step.step_no >= step_of(run, StageName.UPLOAD).step_no:
        return None
    live = await Uploads(connection).find_live(video_id=run.row.video_id)
    if live is None or live.untouched:
        return live
    where = {
        "published": f"is published as {live.youtube_video_id}",
        "uploaded": f"was uploaded as {live.youtube_video_id}",
    }.get(live.status, f"may be at its host already (marker {live.marker})")
    raise RunConflict(
        f"the film of run {run.id} {where}, and {step.step_name} would make another one of the same"
        f" video. Go on with this film: ytempire run retry {run.id} --from-step upload; or start a"
        " new run"
    )
