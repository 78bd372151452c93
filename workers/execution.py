"""The three phases of every stage, written once: claim, run, record.

    claim   short transaction: take the step (bump its fence, skip what is done), load its inputs
    run     no connection held: the pure stage with its ports
    record  one transaction under the fence: step, artifacts, costs, the stage's own columns, run
            totals, next job, and the end of this job

Whatever dies between two phases is repeated from the claim; whatever dies within the record leaves
nothing behind.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import structlog
from procrastinate import JobContext

from db.errors import Contended, Unavailable
from db.pool import Connection, transaction
from db.repositories.calls import Calls
from db.repositories.channels import Channels
from db.repositories.executions import Execution, Executions
from db.repositories.steps import Steps
from db.repositories.videos import Videos
from pipeline.domain import (
    Artifact,
    Channel,
    Charge,
    ExecutionStatus,
    StageName,
    StepStatus,
)
from pipeline.errors import LostClaim, OverBudget, Rejected, StageError
from pipeline.failpoints import Point, reach
from pipeline.flow import ROUTES
from workers.accounts.trouble import after_trouble, write_trouble
from workers.callbacks.announcing import announce_run
from workers.calls.booking import book
from workers.channels import channel_from_row
from workers.damage import remake
from workers.disk import parked
from workers.outputs import read_output, write_output
from workers.progress import Progress, report_progress
from workers.queue.completion import attempts_allowed, record
from workers.queue.outcomes import Fail, Finish, Outcome, Retry, Snooze
from workers.retry import Again, Decision, Ended, Held, Later, decide
from workers.runs.starting import enqueue_step
from workers.runtime import Runtime

log = structlog.get_logger()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Claim:
    """A step that is ours for now, with all that its stage needs to know."""

    execution: Execution
    step_id: UUID
    stage: StageName
    fence: int
    attempt: int
    channel: Channel
    outputs: Mapping[StageName, Any]
    scratch: Path
    report: Callable[[float], None]

    def output(self, stage: StageName, kind: type[T]) -> T:
        """What an earlier stage recorded."""
        return read_output(kind, self.outputs[stage])

    @property
    def video_id(self) -> UUID:
        return self.execution.video_id

    @property
    def own_scratch(self) -> Path:
        """A folder that no other claim of this step writes to."""
        return self.scratch / f"claim-{self.fence}"

    @property
    def folder(self) -> str:
        """Where the run's files are in the artifact store."""
        return f"videos/{self.execution.video_id}"


@dataclass(frozen=True, slots=True)
class Performance:
    """What a stage leaves: its output for the stages after it, and what else is to be recorded.

    `record` writes the stage's own columns, on the record transaction's connection.
    """

    output: Any
    record: Callable[[Connection], Awaitable[None]]
    charges: tuple[Charge, ...] = ()
    artifacts: tuple[Artifact, ...] = ()


StageRunner = Callable[[Runtime, Claim], Awaitable[Performance]]


async def perform(
    runtime: Runtime, context: JobContext, stage: StageName, run: StageRunner, execution_id: UUID
) -> None:
    """Take one step of a run through its three phases; returns with this job ended in the queue."""
    job_id = UUID(str(context.job.id))
    progress = Progress()
    claim = await _claim(runtime, stage, execution_id, job_id, progress)
    if claim is None:
        log.info("step.nothing_to_do", step=stage.value)
        return
    reporter = asyncio.create_task(
        report_progress(
            runtime.pool,
            progress,
            execution_id=execution_id,
            stage=stage,
            fence=claim.fence,
        )
    )
    try:
        try:
            await asyncio.to_thread(claim.own_scratch.mkdir, parents=True, exist_ok=True)
            await reach(Point.BEFORE_INTENT, stage)
            performance = await run(runtime, claim)
        finally:
            reporter.cancel()
            with suppress(asyncio.CancelledError):
                await reporter
        await _record(context, claim, performance)
    except LostClaim as error:
        log.warning("step.claim_lost", step=stage.value, fence=claim.fence, error=str(error))
        return
    except (Unavailable, Contended):
        raise  # not the stage's fault: the job rests until the database is back
    except Exception as error:
        await _settle_or_lose(runtime, context, claim, error)
        return
    log.info("step.recorded", step=stage.value, run=str(execution_id), attempt=claim.attempt)
    await asyncio.to_thread(shutil.rmtree, claim.scratch, ignore_errors=True)


async def _claim(
    runtime: Runtime, stage: StageName, execution_id: UUID, job_id: UUID, progress: Progress
) -> Claim | None:
    """The step, or None when there is nothing to do for this job.

    Raises `Rejected` for a run that is not there or has not come to this stage yet.
    """
    async with transaction(runtime.pool) as connection:
        executions, steps = Executions(connection), Steps(connection)
        state = await executions.lock(execution_id=execution_id)
        if state is None:
            raise Rejected(f"there is no run {execution_id}")
        if ExecutionStatus(state.status).ended:
            return None
        if state.current_step != stage:
            found = await steps.find(execution_id=execution_id, step=stage)
            if found is not None and found.status == StepStatus.SUCCESS:
                return None
            raise Rejected(
                f"run {execution_id} is at step {state.current_step}; {stage} cannot run now"
            )
        taken = await steps.claim(execution_id=execution_id, step=stage, job_id=job_id)
        if taken is None:
            return None
        await executions.mark_running(execution_id=execution_id, step=stage)
        execution = await executions.load(execution_id=execution_id)
        return Claim(
            execution=execution,
            step_id=taken.id,
            stage=stage,
            fence=taken.fence,
            attempt=taken.attempt,
            channel=channel_from_row(
                await Channels(connection).get(channel_id=execution.channel_id)
            ),
            outputs=await steps.list_outputs(execution_id=execution_id),
            scratch=runtime.scratch / str(execution_id) / stage.value,
            report=progress,
        )


async def _record(context: JobContext, claim: Claim, performance: Performance) -> None:
    """Write the outcome in one commit. While the database is away it waits and tries again: what
    the stage made (and paid for) is not thrown away for a restart."""

    async def write(connection: Connection) -> None:
        executions, steps = Executions(connection), Steps(connection)
        await _own(connection, claim)
        for artifact in performance.artifacts:
            await Videos(connection).upsert_artifact(video_id=claim.video_id, artifact=artifact)
        await _book(connection, claim, performance.charges)
        await performance.record(connection)
        output = write_output(performance.output)
        await steps.mark_succeeded(step_id=claim.step_id, fence=claim.fence, output=output)
        await Videos(connection).sum_cost(video_id=claim.video_id)
        following = ROUTES[claim.stage].next
        if following is None:
            await executions.mark_succeeded(execution_id=claim.execution.id, output_data=output)
            await announce_run(connection, execution_id=claim.execution.id)
            return
        await executions.mark_advanced(execution_id=claim.execution.id, next_step=following)
        await enqueue_step(
            connection,
            execution_id=claim.execution.id,
            stage=following,
            priority=claim.execution.priority,
        )

    await record(context, Finish(), write)


async def _book(connection: Connection, claim: Claim, charges: Sequence[Charge]) -> None:
    """Book what the ledger has not booked already."""
    await book(
        connection,
        charges,
        video_id=claim.video_id,
        execution_id=claim.execution.id,
        step_id=claim.step_id,
        stage=claim.stage,
    )


async def _own(connection: Connection, claim: Claim) -> None:
    """Lock run and step, in the order of the claim; `LostClaim` when the step is another's."""
    await Executions(connection).lock(execution_id=claim.execution.id)
    if not await Steps(connection).owned(step_id=claim.step_id, fence=claim.fence):
        raise LostClaim(f"step {claim.stage} of run {claim.execution.id} was taken over")


async def _settle_or_lose(
    runtime: Runtime, context: JobContext, claim: Claim, error: Exception
) -> None:
    try:
        await _settle(runtime, context, claim, error)
    except LostClaim as lost:
        log.warning("step.claim_lost", step=claim.stage.value, error=str(lost))


async def _settle(runtime: Runtime, context: JobContext, claim: Claim, error: Exception) -> None:
    """Write in one commit what an error means for the step, the run, the job and the account."""
    error = parked(error)
    if isinstance(error, StageError) and claim.stage is StageName.UPLOAD:
        error = await after_trouble(
            runtime.pool,
            error,
            execution_id=claim.execution.id,
            channel_id=claim.channel.id,
            video_id=claim.video_id,
        )
    decision = decide(
        error,
        finished_attempts=context.job.attempts,
        max_attempts=attempts_allowed(context),
        chance=runtime.chance,
    )
    log.warning(
        "step.failed" if isinstance(decision, Ended) else "step.paused",
        step=claim.stage.value,
        error=decision.error,
        exc_info=None if isinstance(error, StageError) else error,
    )

    async def write(connection: Connection) -> None:
        await _own(connection, claim)
        if isinstance(error, StageError) and error.charges:
            await _book(connection, claim, error.charges)
            await Videos(connection).sum_cost(video_id=claim.video_id)
        if isinstance(error, StageError):
            await write_trouble(
                connection, error, execution_id=claim.execution.id, video_id=claim.video_id
            )
        if await remake(connection, error, execution_id=claim.execution.id, stage=claim.stage):
            return
        await _write_decision(connection, claim, decision, error)
        await announce_run(connection, execution_id=claim.execution.id)

    await record(context, _outcome(decision), write)


def _outcome(decision: Decision) -> Outcome:
    match decision:
        case Again(delay=delay, error=error):
            return Retry(at=delay, error=error)
        case Later(until=until, error=error):
            return Snooze(until=until, error=error)
        case Held():
            return Finish()  # its part is done: a person's answer begins a new job
        case Ended(error=error):
            return Fail(error=error)


async def _write_decision(
    connection: Connection, claim: Claim, decision: Decision, error: Exception
) -> None:
    executions, steps = Executions(connection), Steps(connection)
    message = f"{claim.stage}: {decision.error}"
    if isinstance(decision, Ended):
        await steps.mark_failed(step_id=claim.step_id, fence=claim.fence, error=decision.error)
        await executions.mark_failed(
            execution_id=claim.execution.id,
            error=message,
            details={"step": claim.stage.value, "class": type(error).__name__},
        )
        await Videos(connection).set_failed(video_id=claim.video_id, error=decision.error)
        if isinstance(error, Rejected) and not isinstance(error, OverBudget):
            # The stored answers led here; whoever tries again wants others.
            await Calls(connection).set_aside(step_id=claim.step_id, reason="rejected")
        return
    held = isinstance(decision, Held)
    at = decision.until if isinstance(decision, Later) else None
    delay = decision.delay if isinstance(decision, Again) else None
    await steps.mark_paused(
        step_id=claim.step_id,
        fence=claim.fence,
        status=StepStatus.WAITING if held else StepStatus.RETRYING,
        at=at,
        delay=delay,
        error=decision.error,
    )
    await executions.mark_paused(
        execution_id=claim.execution.id,
        status=ExecutionStatus.WAITING if held else ExecutionStatus.RETRYING,
        at=at,
        delay=delay,
        error=message,
    )
