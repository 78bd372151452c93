"""Jobs that keep the house: they find work that fell out of its way."""

from typing import Any

from procrastinate import Blueprint, JobContext

from workers.runs import reconcile
from workers.tasks.stages import runtime_of

QUEUE = "maintenance"


def add_maintenance(app: Blueprint) -> None:
    """Register the maintenance tasks and their periods."""
    app.task(name="maintenance.noop", queue=QUEUE)(noop)
    app.periodic(cron="* * * * *")(
        app.task(name="maintenance.reconcile", queue=QUEUE, pass_context=True)(reconcile_runs)
    )


async def noop(**_: Any) -> None:
    """Do nothing, for trials and load tests."""


async def reconcile_runs(context: JobContext, /, timestamp: int) -> None:
    """Every minute: a run that should go on and has no live job gets one, or its job's error."""
    await reconcile(runtime_of(context).pool)
