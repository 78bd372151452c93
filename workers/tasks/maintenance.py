"""Jobs that keep the house: they find work that fell out of its way, and clear away what is old."""

from typing import Any

import structlog
from procrastinate import Blueprint, JobContext

from db.pool import transaction
from db.repositories.schedules import Schedules
from workers.callbacks.outbox import prune_deliveries, reconcile_deliveries
from workers.calls.spool import sweep_spool
from workers.ingest import chosen_feeds, due_feeds, expire_trends, ingest
from workers.queue.outcomes import EndJob, Fail
from workers.queue.retention import keep_house
from workers.receipt_retention import prune_receipts
from workers.runs.reconcile import reconcile
from workers.scheduling.production import start_due_productions
from workers.scheduling.workflows import start_due_workflows
from workers.tasks.names import NOOP, PRUNE, RECONCILE, SCHEDULE, TREND_EXPIRY, TREND_INGEST
from workers.tasks.stages import runtime_of

log = structlog.get_logger()

QUEUE = "maintenance"


def add_maintenance(app: Blueprint) -> None:
    """Register the maintenance tasks and their periods."""
    app.task(name=NOOP, queue=QUEUE)(noop)
    app.periodic(cron="* * * * *")(
        app.task(name=RECONCILE, queue=QUEUE, pass_context=True)(reconcile_runs)
    )
    app.periodic(cron="* * * * *")(
        app.task(name=SCHEDULE, queue=QUEUE, pass_context=True)(start_by_the_clock)
    )
    # Not on the hour, when everybody else has something to do. Never two waiting at a time.
    app.periodic(cron="17 * * * *")(
        app.task(name=PRUNE, queue=QUEUE, queueing_lock=PRUNE, pass_context=True)(prune_history)
    )
    app.periodic(cron="*/15 * * * *")(
        app.task(name=TREND_INGEST, queue=QUEUE, pass_context=True)(ingest_trends)
    )
    app.periodic(cron="5 * * * *")(
        app.task(name=TREND_EXPIRY, queue=QUEUE, pass_context=True)(expire)
    )


async def noop(**_: Any) -> None:
    """Do nothing, for trials and load tests."""


async def reconcile_runs(context: JobContext, /, timestamp: int) -> None:
    """Every minute: a run that should go on and has no live job gets one, or its job's error; so
    does a callback."""
    pool = runtime_of(context).pool
    await reconcile(pool)
    await reconcile_deliveries(pool)


async def start_by_the_clock(context: JobContext, /, timestamp: int) -> None:
    """Every minute: start the runs of cron workflows and of channels' slots that are due."""
    pool = runtime_of(context).pool
    await start_due_workflows(pool)
    await start_due_productions(pool)
    async with transaction(pool) as connection:
        await Schedules(connection).refresh_outcomes()


async def prune_history(context: JobContext, /, timestamp: int) -> None:
    """Every hour: what `workers.queue.retention` keeps no longer leaves the queue, old receipts
    and callbacks go, and what is recorded leaves this host's spool."""
    runtime = runtime_of(context)
    pool = runtime.pool
    jobs, workers = await keep_house(pool)
    if jobs or workers:
        log.info("queue.pruned", jobs=jobs, workers=workers)
    if deleted := await prune_deliveries(pool):
        log.info("callbacks.pruned", deliveries=deleted)
    if receipts := await prune_receipts(pool):
        log.info("receipts.pruned", receipts=receipts)
    if swept := await sweep_spool(pool, runtime.spool):
        log.info("answers.swept", answers=swept)


async def ingest_trends(context: JobContext, /, timestamp: int) -> None:
    """Every quarter of an hour: read the chosen feeds whose turn it is.

    A feed that fails is logged and has its next turn; the job fails only when all of them did.
    """
    runtime = runtime_of(context)
    names = due_feeds(chosen_feeds(runtime.settings), timestamp)
    results = await ingest(runtime.pool, runtime.settings, names) if names else []
    for result in results:
        if result.error is not None:
            log.warning("trends.source_failed", source=result.source, error=result.error)
        else:
            log.info(
                "trends.ingested",
                source=result.source,
                found=result.found,
                added=result.added,
                qualified=result.qualified,
            )
    if results and all(result.error for result in results):
        told = "; ".join(str(result.error) for result in results)
        raise EndJob(Fail(error=f"no feed could be read: {told}", error_class="Transient"))


async def expire(context: JobContext, /, timestamp: int) -> None:
    """Every hour: mark the topics whose time is over."""
    await expire_trends(runtime_of(context).pool)
