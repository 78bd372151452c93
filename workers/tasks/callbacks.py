"""The job of the outbox: one callback, sent once a run of it."""

from typing import Any

from procrastinate import Blueprint, JobContext

from db.errors import Contended, Unavailable
from workers.callbacks.announcing import QUEUE
from workers.callbacks.delivery import deliver
from workers.queue.outcomes import EndJob, Snooze
from workers.tasks.endings import id_in
from workers.tasks.names import CALLBACK_DELIVER
from workers.tasks.stages import DATABASE_PAUSE, runtime_of


def add_callbacks(app: Blueprint) -> None:
    """Register the task."""
    app.task(name=CALLBACK_DELIVER, queue=QUEUE, pass_context=True)(deliver_callback)


async def deliver_callback(context: JobContext, /, **payload: Any) -> None:
    """Send one delivery: `{"delivery_id"}`. Its schedule is its row's; its job only snoozes."""
    delivery_id = id_in(payload, "delivery_id")
    try:
        await deliver(runtime_of(context), context, delivery_id)
    except (Unavailable, Contended) as error:
        raise EndJob(
            Snooze(until=DATABASE_PAUSE, error=str(error), error_class=type(error).__name__)
        ) from error
