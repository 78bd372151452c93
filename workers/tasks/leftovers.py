"""The jobs that see to what runs leave: an upload whose run was ended, files that no row names."""

from typing import Any

import structlog
from procrastinate import Blueprint, JobContext

from db.errors import Contended, Unavailable
from pipeline.errors import StageError
from workers.queue.outcomes import EndJob, Fail, Snooze
from workers.runs.upload_ending import settle_upload
from workers.sweeping import sweep_store
from workers.tasks.endings import ending_after, id_in
from workers.tasks.names import SETTLE_UPLOAD, SWEEP_ARTIFACTS
from workers.tasks.stages import DATABASE_PAUSE, runtime_of

log = structlog.get_logger()


def add_leftovers(app: Blueprint) -> None:
    """Register the tasks and the period."""
    app.task(name=SETTLE_UPLOAD, queue="maintenance", pass_context=True)(settle)
    app.periodic(cron="50 3 * * *")(
        app.task(
            name=SWEEP_ARTIFACTS,
            queue="maintenance",
            queueing_lock=SWEEP_ARTIFACTS,
            pass_context=True,
        )(sweep)
    )


async def settle(context: JobContext, /, **payload: Any) -> None:
    """Settle one upload: `{"upload_id"}`. One that cannot be settled stays listed by the doctor."""
    runtime = runtime_of(context)
    upload_id = id_in(payload, "upload_id")
    try:
        status = await settle_upload(runtime, upload_id)
    except (Unavailable, Contended) as error:
        raise EndJob(Snooze(until=DATABASE_PAUSE, error=str(error))) from error
    except StageError as error:
        raise ending_after(error, context, runtime) from error
    if status is not None:
        log.info("upload.settled", upload=str(upload_id), status=status)


async def sweep(
    context: JobContext, /, timestamp: int | None = None, dry_run: bool = False
) -> None:
    """Every day: remove stored files that no row names; `{"dry_run": true}` only logs which."""
    runtime = runtime_of(context)
    try:
        swept = await sweep_store(runtime.pool, runtime.store, dry_run=dry_run)
    except StageError as error:
        raise EndJob(Fail(error=str(error), error_class=type(error).__name__)) from error
    if swept.removed or swept.announced:
        log.info(
            "artifacts.swept",
            removed=swept.removed,
            announced=swept.announced,
            size_bytes=swept.size_bytes,
            dry_run=dry_run,
        )
