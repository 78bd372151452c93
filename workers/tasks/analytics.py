"""The jobs of statistics: one pull of one video, and the look at what grows old."""

from typing import Any
from uuid import UUID

import structlog
from procrastinate import Blueprint, JobContext

from db.pool import transaction
from pipeline.errors import StageError
from workers.accounts.trouble import afflict
from workers.analytics import JOB_TYPE, QUEUE, keep_api_data_fresh, pull_video
from workers.queue.completion import attempts_allowed
from workers.queue.outcomes import EndJob, Fail, Retry, Snooze
from workers.retry import Again, Later, decide
from workers.tasks.stages import runtime_of

log = structlog.get_logger()


def add_analytics(app: Blueprint) -> None:
    """Register the tasks and the period."""
    app.task(name=JOB_TYPE, queue=QUEUE, pass_context=True)(pull)
    app.periodic(cron="40 */6 * * *")(
        app.task(name="maintenance.api_data", queue="maintenance", pass_context=True)(api_data)
    )


async def pull(context: JobContext, /, **payload: Any) -> None:
    """Pull one video: `{"video_id"}`. A refusal that is about the account is written to it."""
    runtime = runtime_of(context)
    try:
        video_id = UUID(str(payload.get("video_id")))
    except ValueError as error:
        raise EndJob(
            Fail(error='the payload is {"video_id": "<id>"}', error_class="Rejected")
        ) from error
    try:
        await pull_video(runtime, video_id)
    except StageError as error:
        if error.trouble is not None:
            async with transaction(runtime.pool) as connection:
                await afflict(connection, error.trouble, str(error))
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
        # What a person must see to fails here: the daily task enqueues the video again.
        raise EndJob(Fail(error=decision.error, error_class=type(error).__name__)) from error


async def api_data(context: JobContext, /, timestamp: int) -> None:
    """Every six hours: refresh stored data of YouTube's API that grows old, delete the rest."""
    stale, expired = await keep_api_data_fresh(runtime_of(context).pool)
    if stale or expired:
        log.info("analytics.api_data_kept", refreshing=stale, deleted=expired)
