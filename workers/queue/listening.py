"""LISTEN through lost connections: one connection, any number of channels, one callback."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import structlog
from procrastinate import connector

from db.errors import DatabaseError, translated
from db.statements import load

logger = structlog.get_logger(__name__)

STATEMENTS = load("job_queue")
KEEPALIVE_SECONDS = 15.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
WAKE_PAYLOAD = json.dumps({"type": "job_inserted", "job_id": None})

_Message = tuple[str, str] | None


def pause_before(attempt: int) -> float:
    """Seconds to wait before reconnection `attempt` (from 0): exponential, full jitter, capped."""
    return random.uniform(0.05, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt))  # noqa: S311


class Listener:
    """Listens on its channels until cancelled.

    After every (re)connection it tells of new jobs and of every requested abort, because
    notifications sent meanwhile are gone. A callback that raises is logged and does not end the
    listening: anybody may NOTIFY anything. `on_receipt` is called at once, before its turn comes.
    """

    def __init__(
        self,
        *,
        open_connection: Callable[[], Awaitable[asyncpg.Connection[Any]]],
        channels: tuple[str, ...],
        on_notification: connector.Notify,
        on_receipt: Callable[[], None],
    ) -> None:
        self._open_connection = open_connection
        self._channels = channels
        self._on_notification = on_notification
        self._on_receipt = on_receipt
        self._messages: asyncio.Queue[_Message] = asyncio.Queue()

    def wake(self) -> None:
        """Deliver a notification of our own, as if a job had been inserted."""
        self._receive(self._channels[0], WAKE_PAYLOAD)

    async def run(self) -> None:
        """Never returns; ends by cancellation only."""
        attempt = 0
        while True:
            try:
                connection = await self._open_connection()
            except DatabaseError as error:
                logger.warning("queue.listen_failed", error=str(error), attempt=attempt)
                await asyncio.sleep(pause_before(attempt))
                attempt += 1
                continue
            try:
                with translated():  # all that a cut connection makes the driver raise
                    await self._listen(connection)
                    attempt = 0
                    await self._catch_up(connection)
                    await self._dispatch(connection)
            except DatabaseError as error:
                logger.warning("queue.listen_lost", error=str(error))
                await asyncio.sleep(pause_before(attempt))
                attempt += 1
            finally:
                connection.terminate()

    async def _listen(self, connection: asyncpg.Connection[Any]) -> None:
        connection.add_termination_listener(lambda _: self._messages.put_nowait(None))
        for channel in self._channels:
            await connection.add_listener(
                channel, lambda _c, _pid, name, payload: self._receive(name, payload)
            )

    async def _catch_up(self, connection: asyncpg.Connection[Any]) -> None:
        """Say again what may have been said while nobody listened."""
        self.wake()
        for row in await STATEMENTS["list_jobs_to_abort"].many(connection, queue_name=None):
            payload = json.dumps({"type": "abort_job_requested", "job_id": row["id"]})
            self._messages.put_nowait((self._channels[0], payload))

    def _receive(self, channel: str, payload: object) -> None:
        self._on_receipt()
        self._messages.put_nowait((channel, str(payload)))

    async def _dispatch(self, connection: asyncpg.Connection[Any]) -> None:
        while not connection.is_closed():
            try:
                # Not wait_for(): before Python 3.12 it loses a cancellation that comes together
                # with a message, and this loop would never end.
                async with asyncio.timeout(KEEPALIVE_SECONDS):
                    message = await self._messages.get()
            except TimeoutError:
                await connection.execute("SELECT 1")
                continue
            if message is None:
                continue
            channel, payload = message
            try:
                await self._on_notification(channel=channel, payload=payload)
            except Exception:
                logger.exception("queue.notification_refused", channel=channel, payload=payload)
