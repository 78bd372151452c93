"""Retention: jobs that ended long ago leave the table, a little at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from db.pool import Pool, acquired
from db.repositories.jobs import ENDED, Jobs

BATCH = 1000
PAUSE_SECONDS = 0.05


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
