"""How far a running stage is, shown in its run's row."""

import asyncio
from contextlib import suppress
from uuid import UUID

from db.errors import DatabaseError
from db.pool import Pool, transaction
from db.repositories.executions import Executions
from pipeline.domain import StageName

INTERVAL_SECONDS = 1.0


class Progress:
    """The latest part done, 0..1; a stage calls it as often as it likes, from any thread."""

    def __init__(self) -> None:
        self.value = 0.0

    def __call__(self, part: float) -> None:
        self.value = min(1.0, max(0.0, part))


async def report_progress(
    pool: Pool, progress: Progress, *, execution_id: UUID, stage: StageName, fence: int
) -> None:
    """Write the progress when it moved, until cancelled; losing an update harms nobody."""
    shown = 0.0
    while True:
        await asyncio.sleep(INTERVAL_SECONDS)
        if progress.value == shown:
            continue
        shown = progress.value
        with suppress(DatabaseError):
            async with transaction(pool) as connection:
                await Executions(connection).mark_progress(
                    execution_id=execution_id, step=stage, fence=fence, progress=shown
                )
