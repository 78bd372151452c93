"""The middleware around every job a worker runs: ids in the log, the reason of an ending."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import structlog
from procrastinate import exceptions, job_context, middleware, worker

from workers.queue.job_manager import JobQueueManager
from workers.queue.outcomes import EndJob

GOES_BACK = "jobs_go_back_at_shutdown"
"""Key of additional_context: at the end of the grace, jobs go back instead of being aborted."""
SHUT_DOWN = "its worker was shut down before it was done"


async def observe_job(
    call_next: middleware.AsyncCallNext,
    context: job_context.JobContext,
    worker: worker.Worker,
) -> Any:
    """Bind the job's ids to the log and leave with its claim what `last_error` has to say."""
    manager = context.app.job_manager
    claim = manager.claims.find(context.job) if isinstance(manager, JobQueueManager) else None
    with structlog.contextvars.bound_contextvars(
        job_id=context.job.id,
        job_type=context.job.task_name,
        queue=context.job.queue,
        attempt=context.job.attempts + 1,
        worker_id=worker.worker_id,
    ):
        try:
            return await call_next()
        except BaseException as error:
            if claim is not None:
                claim.error, claim.error_class = describe(error), type(error).__name__
                if isinstance(error, EndJob):
                    claim.outcome = error.outcome
                if isinstance(error, (asyncio.CancelledError, exceptions.JobAborted)):
                    reason = context.abort_reason()
                    claim.error = _abort_message(reason)
                    claim.goes_back = reason is job_context.AbortReason.SHUTDOWN and bool(
                        context.additional_context.get(GOES_BACK)
                    )
            raise


def describe(error: BaseException) -> str:
    """One line for people: the class, the message, and the place in our code that raised it."""
    message = str(error) or "no message"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" (at {frames[-1].name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {message}{place}"


def _abort_message(reason: job_context.AbortReason | None) -> str:
    match reason:
        case job_context.AbortReason.USER_REQUEST:
            return "aborted on request"
        case job_context.AbortReason.SHUTDOWN:
            return SHUT_DOWN
        case _:
            return "cancelled from within its worker"
