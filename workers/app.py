"""The queue's app of a process, with all its tasks, and the worker that runs them."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from db.pool import Connection
from db.repositories.executions import Executions
from workers.disk import DiskGuard, folders_of
from workers.queue.app import QueueApp
from workers.queue.connector import JobQueueConnector
from workers.queue.worker import run_worker
from workers.runs.reconcile import reconcile
from workers.runtime import Runtime
from workers.sweeping import keep_scratch
from workers.tasks.accounts import add_accounts
from workers.tasks.analytics import add_analytics
from workers.tasks.callbacks import add_callbacks
from workers.tasks.extras import add_extras
from workers.tasks.leftovers import add_leftovers
from workers.tasks.maintenance import add_maintenance
from workers.tasks.stages import add_stages

# A retry that is due later than this is not waited for by `worker --until-idle`.
IDLE_HORIZON_SECONDS = 600.0


def make_app(connector: JobQueueConnector) -> QueueApp:
    """The app with every task of ytempire under its explicit name."""
    app = QueueApp(connector=connector)
    add_tasks(app)
    return app


def add_tasks(app: QueueApp) -> None:
    """Register every task of ytempire; `workers.tasks.names` lists their names."""
    add_stages(app)
    add_maintenance(app)
    add_analytics(app)
    add_leftovers(app)
    add_extras(app)
    add_callbacks(app)
    add_accounts(app)


async def run_line_worker(
    runtime: Runtime,
    url: str,
    *,
    queues: Sequence[str] | None,
    concurrency: int,
    name: str,
    until_idle: bool,
) -> None:
    """Take jobs until a signal, or, with `until_idle`, until no run goes on by itself any more."""

    async def still_active(connection: Connection) -> bool:
        await reconcile(runtime.pool)
        going_on = await Executions(connection).count_going_on(horizon_seconds=IDLE_HORIZON_SECONDS)
        return going_on > 0

    app = make_app(JobQueueConnector(url, pool=runtime.pool))
    app.job_manager.limit_queues = DiskGuard(*folders_of(runtime.settings))
    sweeper = asyncio.create_task(keep_scratch(runtime.pool, runtime.scratch), name="scratch")
    try:
        async with app.open_async():
            await run_worker(
                app,
                queues=queues,
                concurrency=concurrency,
                name=name,
                until_idle=until_idle,
                still_active=still_active,
                additional_context={"runtime": runtime},
            )
    finally:
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper
