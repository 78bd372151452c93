"""The job that ends an upload whose run was ended."""

from typing import Any
from uuid import UUID

import structlog
from procrastinate import Blueprint, JobContext

from pipeline.errors import StageError
from workers.queue.completion import attempts_allowed
from workers.queue.outcomes import EndJob, Fail, Retry, Snooze
from workers.retry import Again, Later, decide
from workers.tasks.names import SETTLE_UPLOAD
from workers.tasks.stages import runtime_of
from workers.upload_ending import settle_upload

log = structlog.get_logger()


def add_uploads(app: Blueprint) -> None:
    """Register the task."""
    app.task(name=SETTLE_UPLOAD, queue="maintenance", pass_context=True)(settle)


async def settle(context: JobContext, /, **payload: Any) -> None:
    """Settle one upload: `{"upload_id"}`. One that cannot be settled stays listed by the doctor."""
    runtime = runtime_of(context)
    try:
        upload_id = UUID(str(payload.get("upload_id")))
    except ValueError as error:
        raise EndJob(
            Fail(error='the payload is {"upload_id": "<id>"}', error_class="Rejected")
        ) from error
    try:
        status = await settle_upload(runtime, upload_id)
    except StageError as error:
        decision = decide(
            error,
            finished_attempts=context.job.attempts,
            max_attempts=attempts_allowed(context),
            chance=runtime.chance,
        )
        match decision:
            case Again(delay=delay, error=text):
                raise EndJob(Retry(at=delay, error=text)) from error
            case Later(until=until, error=text):
                raise EndJob(Snooze(until=until, error=text)) from error
        raise EndJob(Fail(error=decision.error, error_class=type(error).__name__)) from error
    if status is not None:
        log.info("upload.settled", upload=str(upload_id), status=status)
