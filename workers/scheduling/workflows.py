"""Start the runs of workflows on their cron: each tick once, over any number of workers.

A workflow's row is locked while its ticks are dealt with, and a tick's run carries an idempotency
key of workflow and tick, so neither a race, nor a restart, nor a hand on `next_run_at` starts one
twice. Ticks that nobody saw in time are caught up with as the workflow says:

    none    they are left out
    latest  the last of them is made up for
    all     the last 24 of them are
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from db.errors import Contended, Unavailable
from db.pool import Connection, Pool, acquired, transaction
from db.repositories.schedules import DueWorkflow, Schedules
from pipeline.errors import Rejected
from workers.runs.starting import TRIGGERED_TYPE, RunRequest, parse_request, start_run
from workers.scheduling.cron import Cron
from workers.scheduling.zones import BadSchedule

log = structlog.get_logger()

# Later than this a tick counts as missed: workers look every minute.
GRACE = timedelta(minutes=5)
MOST_CAUGHT_UP = 24
UNUSABLE_RETRY = timedelta(hours=1)


async def start_due_workflows(pool: Pool, *, now: datetime | None = None) -> int:
    """Start what is due; how many runs. One workflow's trouble is its own."""
    async with acquired(pool) as connection:
        due = await Schedules(connection).list_due(now=now)
    started = 0
    for workflow_id in due:
        try:
            started += await _start_one(pool, workflow_id, now)
        except (Unavailable, Contended):
            raise
        except Exception:
            log.exception("schedule.failed", workflow=str(workflow_id))
    return started


async def _start_one(pool: Pool, workflow_id: UUID, now: datetime | None) -> int:
    async with transaction(pool) as connection:
        schedules = Schedules(connection)
        row = await schedules.claim(workflow_id=workflow_id, now=now)
        if row is None:
            return 0
        try:
            cron = Cron.parse(row.schedule_cron or "", row.timezone)
        except BadSchedule as error:  # written by hand: our commands refuse it
            log.warning("schedule.unusable", workflow=row.name, error=str(error))
            await schedules.set_outcome(workflow_id=row.id, status="refused", error=str(error))
            await schedules.set_next(workflow_id=row.id, next_run_at=row.now + UNUSABLE_RETRY)
            return 0
        ticks = due_ticks(cron, row.catch_up, since=row.next_run_at, now=row.now)
        await schedules.set_next(workflow_id=row.id, next_run_at=cron.next_after(row.now))
        return sum([await _start_tick(connection, row, tick) for tick in ticks])


def due_ticks(
    cron: Cron, catch_up: str, *, since: datetime | None, now: datetime
) -> Sequence[datetime]:
    """The ticks to start runs for. `since` is the first one not dealt with; None: none is."""
    if since is None:
        return []
    ticks = cron.latest(since, now, MOST_CAUGHT_UP if catch_up == "all" else 1)
    if catch_up == "none":
        return [tick for tick in ticks if now - tick <= GRACE]
    return ticks


async def _start_tick(connection: Connection, row: DueWorkflow, tick: datetime) -> int:
    try:
        if row.workflow_type != TRIGGERED_TYPE:
            raise Rejected(f"workflow {row.name!r} is of type {row.workflow_type}")
        async with connection.transaction():  # a refusal leaves nothing of the run behind
            started = await start_run(
                connection,
                scheduled_request(row),
                idempotency_key=f"workflow:{row.id}:{int(tick.timestamp())}",
                workflow=row.name,
                trigger_data={"scheduled_for": tick.isoformat()},
            )
    except Rejected as error:
        log.warning("schedule.refused", workflow=row.name, tick=tick.isoformat(), error=str(error))
        await Schedules(connection).set_outcome(
            workflow_id=row.id, status="refused", error=str(error)
        )
        return 0
    await Schedules(connection).set_outcome(workflow_id=row.id, status="queued", error=None)
    log.info(
        "schedule.started",
        workflow=row.name,
        tick=tick.isoformat(),
        run=str(started.execution_id),
        new=started.new,
    )
    return int(started.new)


def scheduled_request(row: DueWorkflow) -> RunRequest:
    """The run that a tick starts. Raises `Rejected` for a configuration that makes none."""
    fields: dict[str, Any] = {"priority": row.priority, **row.configuration}
    if row.channel_name is not None:
        fields.setdefault("channel", row.channel_name)
    return parse_request(fields)
