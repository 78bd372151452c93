"""The job of a published video's extras: `maintenance.extras`, `{"execution_id"}`."""

import asyncio
import shutil
from typing import Any

import structlog
from procrastinate import Blueprint, JobContext

from db.pool import Connection
from db.repositories.steps import Steps
from pipeline.errors import Rejected
from pipeline.stages.extras import values_of, waiting
from workers.extras import (
    QUEUE,
    afflict_all,
    dress_later,
    find_task,
    log_bugs,
    scratch_of,
)
from workers.queue.completion import record
from workers.queue.outcomes import EndJob, Fail, Finish, Outcome, Snooze
from workers.tasks.endings import id_in
from workers.tasks.names import EXTRAS
from workers.tasks.stages import runtime_of

log = structlog.get_logger()


def add_extras(app: Blueprint) -> None:
    """Register the task."""
    app.task(name=EXTRAS, queue=QUEUE, pass_context=True)(extras)


async def extras(context: JobContext, /, **payload: Any) -> None:
    """Try what waits of a video's extras; the job rests until the next of them is due.

    What came of it is written with the end of the job. An upload that was taken up again meanwhile
    sees to its extras itself.
    """
    runtime = runtime_of(context)
    execution_id = id_in(payload, "execution_id")
    try:
        task = await find_task(runtime, execution_id)
    except Rejected as error:
        raise EndJob(Fail(error=str(error), error_class="Rejected")) from error
    if task is None:
        return
    try:
        dressed = await dress_later(runtime, execution_id, task)
    finally:
        await asyncio.to_thread(shutil.rmtree, scratch_of(runtime, execution_id), True)
    log_bugs(dressed)

    async def write(connection: Connection) -> None:
        await afflict_all(connection, dressed)
        await Steps(connection).set_extras(
            execution_id=execution_id, fence=task.fence, extras=values_of(dressed.extras)
        )

    left = waiting(dressed.extras)
    outcome: Outcome = Finish()
    if left:
        until = min(extra.until for extra in left if extra.until is not None)
        outcome = Snooze(until=until, error="; ".join(f"{e.name}: {e.reason}" for e in left))
    await record(context, outcome, write)
    log.info("extras.tried", run=str(execution_id), waiting=[extra.name.value for extra in left])
