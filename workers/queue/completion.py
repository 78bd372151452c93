"""One commit: what a task did, what comes next, and that its job is done.

    async with completing(context) as connection:
        await steps.mark_done(connection, ...)
        await jobs.enqueue(connection, job_type="video.voice", ...)

A crash before the commit leaves the job running, to be rescued; after it nothing is left to do, and
the worker's own finish finds the job settled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import structlog
from procrastinate import exceptions
from procrastinate.job_context import JobContext

from db.errors import CommitUnknown, Contended, Unavailable
from db.pool import PoolConnection, transaction
from db.repositories.jobs import Handover, handover
from db.statements import load
from pipeline.errors import LostClaim
from pipeline.failpoints import Point, reach
from workers.queue.claims import Claim
from workers.queue.connector import JobQueueConnector
from workers.queue.job_manager import JobQueueManager, is_passing
from workers.queue.listening import pause_before
from workers.queue.outcomes import Finish, Outcome, ending_arguments

logger = structlog.get_logger(__name__)

STATEMENTS = load("job_queue")
RECORD_PATIENCE_SECONDS = 600.0

T = TypeVar("T")


@asynccontextmanager
async def completing(context: JobContext) -> AsyncIterator[PoolConnection]:
    """A transaction that finishes the job of the running task with it: `ending` with Finish()."""
    async with ending(context, Finish()) as connection:
        yield connection


@asynccontextmanager
async def ending(context: JobContext, outcome: Outcome) -> AsyncIterator[PoolConnection]:
    """A transaction at whose end the running task's job ends as `outcome`, or nothing happens.

    Raises LostClaim, with everything rolled back, when the job is no longer this run's; what the
    block itself raises, rolled back too; db.errors.Unavailable when the database went away (a
    commit whose answer was lost is read back first). Afterwards the task just returns.
    """
    manager, claim = _claim(context)
    connector = manager.connector
    if claim.settled is not None:
        raise RuntimeError(f"job {claim.job_id} has already ended as {claim.settled}")
    arguments = ending_arguments(outcome)
    status: str | None = None
    passing_on = handover.set(_handover(manager, claim, context))
    try:
        async with transaction(connector.pool) as connection:
            yield connection
            row = await STATEMENTS["job_end"].one(connection, **claim.fence(), **arguments)
            status = row["status"]
            if status is None:
                raise LostClaim(f"job {claim.job_id} is no longer run by this worker")
            await reach(Point.BEFORE_COMMIT, context.job.task_name)
        await reach(Point.AFTER_COMMIT, context.job.task_name)
    except CommitUnknown:
        if not await _was_committed(connector, claim):
            raise
    finally:
        handover.reset(passing_on)
    claim.settled = status
    connector.wake()


async def record(
    context: JobContext,
    outcome: Outcome,
    write: Callable[[PoolConnection], Awaitable[T]],
    *,
    patience: float = RECORD_PATIENCE_SECONDS,
) -> T:
    """`ending` around `write(connection)`, repeated while the database is away.

    For results that were dear to make: they wait in memory, up to `patience` seconds, for the
    database to return. `write` must do nothing but write; it runs once a try, the last one counts.
    """
    deadline = time.monotonic() + patience
    attempt = 0
    while True:
        try:
            async with ending(context, outcome) as connection:
                result = await write(connection)
        except (Unavailable, Contended) as error:
            if time.monotonic() > deadline:
                raise
            logger.warning("queue.record_failed", error=str(error), attempt=attempt)
            await asyncio.sleep(pause_before(attempt))
            attempt += 1
        else:
            return result


def attempts_allowed(context: JobContext) -> int | None:
    """How many runs the running job may have in all; None leaves it to its task's strategy."""
    return _claim(context)[1].max_attempts


def _handover(manager: JobQueueManager, claim: Claim, context: JobContext) -> Handover | None:
    """None when this worker will not look for the next job at once."""
    if manager.is_stopping(claim.worker_id) or not manager.connector.can_wake:
        return None
    queues = context.worker_queues
    return Handover(queues=None if queues is None else frozenset(queues))


def _claim(context: JobContext) -> tuple[JobQueueManager, Claim]:
    manager = context.app.job_manager
    if not isinstance(manager, JobQueueManager):
        raise TypeError("the app of this task is no QueueApp: its jobs have no claim to end")
    return manager, manager.claim_of(context.job)


async def _was_committed(connector: JobQueueConnector, claim: Claim) -> bool:
    """Ask until the database answers: did the transaction that ended this claim happen?"""
    attempt = 0
    while True:
        try:
            rows = await connector.run_statement(
                "job_ended_as", id=claim.job_id, claim=claim.number
            )
            return bool(rows) and rows[0]["status"] != "processing"
        except exceptions.ConnectorException as error:
            if not is_passing(error) or attempt > 100:
                raise
            await asyncio.sleep(pause_before(attempt))
            attempt += 1
