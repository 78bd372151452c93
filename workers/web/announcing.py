"""Tells workers of new jobs after their commit, one notification for all that came meanwhile.

Postgres commits transactions that notify one after the other, so a notification in each would hold
every request to the time of a flush. One that is lost with its server delays a job until workers
look by themselves, a few seconds later.
"""

import asyncio
from contextlib import suppress

import structlog

from db.errors import DatabaseError
from db.pool import Pool, acquired
from db.repositories.accepting import Accepting

log = structlog.get_logger()

GAP_SECONDS = 0.05


class Announcer:
    """Announces queues on the pool: the first at once, the next ones 50 ms apart."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._queues: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def tell(self, queue: str) -> None:
        """There is a committed job in this queue."""
        self._queues.add(queue)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._announce(), name="announce jobs")

    async def close(self) -> None:
        """Return once everything is told."""
        self._closing.set()
        if self._task is not None:
            await self._task

    async def _announce(self) -> None:
        while self._queues:
            queues, self._queues = self._queues, set()
            try:
                async with acquired(self._pool) as connection:
                    for queue in sorted(queues):
                        await Accepting(connection).announce(queue_name=queue)
            except DatabaseError as error:
                log.warning("web.announcement_lost", queues=sorted(queues), error=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(GAP_SECONDS):
                    await self._closing.wait()
