"""How long receipts of requests are kept: a repeat within that time gets the first answer."""

import asyncio
from datetime import timedelta

from db.pool import Pool, acquired
from db.repositories.api_keys import ApiKeys
from db.repositories.receipts import Receipts

RECEIPTS_KEPT = timedelta(days=7)
USAGE_KEPT = timedelta(days=2)
BATCH = 1000
PAUSE_SECONDS = 0.05


async def prune_receipts(pool: Pool, *, batch: int = BATCH) -> int:
    """Delete old receipts, a batch a transaction, and the counts of hours gone by; how many
    receipts. One that is interrupted is simply run again."""
    deleted = 0
    while True:
        async with acquired(pool) as connection:
            count = await Receipts(connection).delete_old(
                older_than_seconds=RECEIPTS_KEPT.total_seconds(), most=batch
            )
        deleted += count
        if count < batch:
            break
        await asyncio.sleep(PAUSE_SECONDS)
    async with acquired(pool) as connection:
        await ApiKeys(connection).delete_usage(older_than_seconds=USAGE_KEPT.total_seconds())
    return deleted
