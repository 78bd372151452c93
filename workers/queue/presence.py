"""A worker's presence in the database: its session lock, its heartbeat, and the sweep it runs.

Every worker sweeps, every second, and none leads: it shows that it lives, puts the jobs of dead
workers back, releases what the table says it runs but it does not, lets due jobs into the fetch
index and looks after the order of locks. All of it on a connection of its own, so that neither an
exhausted pool nor the pool's housekeeping can make a living worker look dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import asyncpg
import structlog

from db.errors import DatabaseError
from db.statements import load
from workers.queue.claims import Claims
from workers.queue.listening import pause_before

logger = structlog.get_logger(__name__)

STATEMENTS = load("job_queue")
SWEEP_SECONDS = 1.0
PROMOTE_LIMIT = 1000
LOCK_LIMIT = 200
# A gap in our own sweeps means that the database, the network or this host stood still; others may
# have stood still with us, so nobody is called dead until they had time to show themselves.
GAP_SECONDS = 5.0
HOLD_SECONDS = 10.0


class Presence:
    """Keeps one worker present from start() to stop().

    `registered` is what its row says of it, and says again if somebody deletes the row.
    `fetching` is held during every fetch of this worker: a job on its way here must not be taken
    for one whose answer was lost.
    """

    def __init__(
        self,
        worker_id: int,
        *,
        registered: Mapping[str, Any],
        open_connection: Callable[[], Awaitable[asyncpg.Connection[Any]]],
        claims: Claims,
        wake: Callable[[], None],
    ) -> None:
        self.worker_id = worker_id
        self.fetching = asyncio.Lock()
        self.stopping = False
        self._registered = registered
        self._open_connection = open_connection
        self._claims = claims
        self._wake = wake
        self._connection: asyncpg.Connection[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._after_lock: str | None = None
        self._last_sweep: float | None = None
        self._hold_until = 0.0

    async def start(self) -> None:
        """Take the session lock and begin to sweep; DatabaseError if the database is gone."""
        await self._connect()
        self._task = asyncio.create_task(self._run(), name=f"queue sweep {self.worker_id}")

    async def stop(self) -> None:
        """End the sweep and let the session lock go; a repeat does nothing."""
        task, self._task = self._task, None
        if self._timer is not None:
            self._timer.cancel()
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._disconnect()

    def wake_in(self, seconds: float) -> None:
        """Look for jobs again then: the exact moment the next one is due."""
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(seconds, 0.002), self._wake)

    async def sweep(self) -> None:
        """One round; raises DatabaseError."""
        connection = await self._connect()
        if not await STATEMENTS["update_heartbeat"].exec(connection, worker_id=self.worker_id):
            logger.warning("queue.worker_row_missing", worker_id=self.worker_id)
            await STATEMENTS["worker_register_again"].exec(
                connection, worker_id=self.worker_id, **self._registered
            )
        await self._release_strays(connection)
        if self._may_rescue():
            row = await STATEMENTS["worker_rescue"].one(connection)
            if row["rescued"]:
                logger.warning(
                    "queue.jobs_rescued", rescued=row["rescued"], quarantined=row["quarantined"]
                )
        row = await STATEMENTS["queue_maintain"].one(
            connection,
            promote_limit=PROMOTE_LIMIT,
            after_lock=self._after_lock,
            lock_limit=LOCK_LIMIT,
        )
        self._after_lock = row["next_lock"]
        self._last_sweep = time.monotonic()
        if row["promoted"]:
            self._wake()
        if row["next_due_seconds"] is not None and row["next_due_seconds"] < SWEEP_SECONDS:
            self.wake_in(row["next_due_seconds"])

    async def _release_strays(self, connection: asyncpg.Connection[Any]) -> None:
        async with self.fetching:
            running = self._claims.of_worker(self.worker_id)
            row = await STATEMENTS["worker_release_strays"].one(
                connection,
                worker_id=self.worker_id,
                running=[claim.job_id for claim in running],
                claims=[claim.number for claim in running],
            )
        if row["released"]:
            logger.warning("queue.strays_released", released=row["released"])

    def _may_rescue(self) -> bool:
        now = time.monotonic()
        if self._last_sweep is not None and now - self._last_sweep > GAP_SECONDS:
            self._hold_until = now + HOLD_SECONDS
        return now >= self._hold_until

    async def _run(self) -> None:
        failures = 0
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.sweep()
                failures = 0
            except DatabaseError as error:
                logger.warning("queue.sweep_failed", error=str(error), failures=failures)
                if self._connection is not None and self._connection.is_closed():
                    self._disconnect()
                await asyncio.sleep(pause_before(failures))
                failures += 1
            except Exception:
                logger.exception("queue.sweep_broken")
                self._disconnect()

    async def _connect(self) -> asyncpg.Connection[Any]:
        if self._connection is None or self._connection.is_closed():
            connection = await self._open_connection()
            try:
                row = await STATEMENTS["worker_lock"].one(connection, worker_id=self.worker_id)
            except BaseException:
                connection.terminate()
                raise
            if not row["held"]:
                # The server has not noticed yet that our former session died; it will, and until
                # the next reconnection the heartbeat alone speaks for us.
                logger.warning("queue.session_lock_busy", worker_id=self.worker_id)
            self._connection = connection
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
