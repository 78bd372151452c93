"""Retention: jobs that ended long ago leave the table, little by little, and workers after them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType

from db.pool import Pool, acquired
from db.repositories.jobs import ENDED, Jobs
from db.statements import load

STATEMENTS = load("job_queue")
BATCH = 1000
PAUSE_SECONDS = 0.05

#: How long an ended job is kept: what went wrong is looked at longer than what went well.
KEPT: Mapping[str, timedelta] = MappingProxyType(
    {
        "completed": timedelta(days=7),
        "cancelled": timedelta(days=7),
        "failed": timedelta(days=30),
        "aborted": timedelta(days=30),
    }
)
#: A worker called dead may come back with its next heartbeat, so its row outlives it by far.
WORKERS_KEPT = timedelta(days=30)


async def prune(
    pool: Pool,
    *,
    older_than: timedelta,
    statuses: Sequence[str] = ENDED,
    batch: int = BATCH,
    pause: float = PAUSE_SECONDS,
) -> int:
    """Delete jobs that ended at least so long ago, with their attempts; how many.

    Each batch is a transaction of its own, with a pause after it, so that fetches never wait and
    vacuum keeps up. Several may run at once; one that is interrupted is simply run again.
    """
    deleted = 0
    while True:
        async with acquired(pool) as connection:
            count = await Jobs(connection).delete_ended_batch(
                older_than_seconds=older_than.total_seconds(), statuses=statuses, most=batch
            )
        deleted += count
        if count < batch:
            return deleted
        await asyncio.sleep(pause)


async def prune_workers(pool: Pool, *, older_than: timedelta = WORKERS_KEPT) -> int:
    """Delete workers that stopped at least so long ago and that no job and no attempt names; how
    many. One that still holds its session lock is alive, whatever its row says, and stays."""
    async with acquired(pool) as connection:
        return await STATEMENTS["worker_delete_forgotten"].exec(
            connection, older_than_seconds=older_than.total_seconds()
        )


async def keep_house(pool: Pool) -> tuple[int, int]:
    """Prune by the ages above: how many jobs, then how many workers."""
    jobs = 0
    for age in sorted(set(KEPT.values())):
        statuses = [status for status, kept in KEPT.items() if kept == age]
        jobs += await prune(pool, older_than=age, statuses=statuses)
    return jobs, await prune_workers(pool)
