"""The jobs of statistics: one pull of one video, and the look at what grows old."""

from typing import Any

import structlog
from procrastinate import Blueprint, JobContext

from db.pool import transaction
from pipeline.errors import StageError
from workers.accounts.trouble import afflict
from workers.analytics import JOB_TYPE, QUEUE, keep_api_data_fresh, pull_video
from workers.tasks.endings import ending_after, id_in
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
    video_id = id_in(payload, "video_id")
    try:
        await pull_video(runtime, video_id)
    except StageError as error:
        if error.trouble is not None:
            async with transaction(runtime.pool) as connection:
                await afflict(connection, error.trouble, str(error))
        # What fails here is enqueued again by the daily task.
        raise ending_after(error, context, runtime) from error


async def api_data(context: JobContext, /, timestamp: int) -> None:
    """Every six hours: refresh stored data of YouTube's API that grows old, delete the rest."""
    stale, expired = await keep_api_data_fresh(runtime_of(context).pool)
    if stale or expired:
        log.info("analytics.api_data_kept", refreshing=stale, deleted=expired)
