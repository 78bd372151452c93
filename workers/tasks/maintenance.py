"""Jobs that keep the house: they find work that fell out of its way, and clear away what is old."""

from typing import Any

import structlog
from procrastinate import Blueprint, JobContext

from workers.queue.retention import keep_house
from workers.runs import reconcile
from workers.tasks.stages import runtime_of

logger = structlog.get_logger(__name__)

QUEUE = "maintenance"
NOOP = "maintenance.noop"
RECONCILE = "maintenance.reconcile"
PRUNE = "maintenance.prune"


def add_maintenance(app: Blueprint) -> None:
    """Register the maintenance tasks and their periods."""
    app.task(name=NOOP, queue=QUEUE)(noop)
    app.periodic(cron="* * * * *")(
        app.task(name=RECONCILE, queue=QUEUE, pass_context=True)(reconcile_runs)
    )
    # Not on the hour, when everybody else has something to do. Never two waiting at a time.
    app.periodic(cron="17 * * * *")(
        app.task(name=PRUNE, queue=QUEUE, queueing_lock=PRUNE, pass_context=True)(prune_history)
    )


async def noop(**_: Any) -> None:
    """Do nothing, for trials and load tests."""


async def reconcile_runs(context: JobContext, /, timestamp: int) -> None:
    """Every minute: a run that should go on and has no live job gets one, or its job's error."""
    await reconcile(runtime_of(context).pool)


async def prune_history(context: JobContext, /, timestamp: int) -> None:
    """Every hour: what `workers.queue.retention` keeps no longer leaves the queue."""
    jobs, workers = await keep_house(runtime_of(context).pool)
    if jobs or workers:
        logger.info("queue.pruned", jobs=jobs, workers=workers)
