"""The end of a worker process: first politely, then in time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable

import structlog
from procrastinate import exceptions

from workers.queue.job_manager import JobQueueManager, WorkerIdentity
from workers.queue.middleware import SHUT_DOWN
from workers.queue.outcomes import plain_arguments

logger = structlog.get_logger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)
# What cancelled jobs may take, after the grace, to clean up and write their end.
MARGIN_SECONDS = 5.0
RELEASE_TIMEOUT_SECONDS = 5.0


class Stopper:
    """Turns SIGTERM and SIGINT into the end of one worker.

    The first lets running jobs end; `grace` seconds later Procrastinate cancels them, and they go
    back. What cannot be cancelled (a synchronous task in its thread) is given back
    `MARGIN_SECONDS` after that, and the process leaves at once: it must not go on with a job that
    another worker may take. A second signal skips the waiting.
    """

    def __init__(
        self,
        manager: JobQueueManager,
        identity: WorkerIdentity,
        stop: Callable[[], object],
        *,
        grace: float,
    ) -> None:
        self._manager = manager
        self._identity = identity
        self._stop = stop
        self._grace = grace
        self._timer: asyncio.TimerHandle | None = None
        self._leaving: asyncio.Task[None] | None = None
        self.asked = False

    def install(self) -> None:
        """Take the signals over from this loop's thread; elsewhere ValueError or RuntimeError."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.ask)

    def remove(self) -> None:
        """Give the signals back and forget the deadline."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.remove_signal_handler(number)
        if self._timer is not None:
            self._timer.cancel()

    def ask(self) -> None:
        """What a signal does."""
        if self.asked:
            logger.warning("queue.stop_asked_again")
            self._leave()
            return
        self.asked = True
        logger.info("queue.stop_asked", grace_seconds=self._grace)
        if self._identity.worker_id is not None:
            self._manager.stop_waiting(self._identity.worker_id)
        self._stop()
        self._timer = asyncio.get_running_loop().call_later(
            self._grace + MARGIN_SECONDS, self._leave
        )

    def _leave(self) -> None:
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._give_back_and_exit())

    async def _give_back_and_exit(self) -> None:
        worker_id = self._identity.worker_id
        claims = [] if worker_id is None else self._manager.claims.of_worker(worker_id)
        logger.error("queue.worker_left", jobs=[str(claim.job_id) for claim in claims])
        arguments = plain_arguments("release", SHUT_DOWN, "Shutdown")
        with contextlib.suppress(exceptions.ConnectorException, TimeoutError):
            async with asyncio.timeout(RELEASE_TIMEOUT_SECONDS):
                for claim in claims:
                    await self._manager.connector.run_statement(
                        "job_end", **claim.fence(), **arguments
                    )
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)  # threads that run the jobs given back would outlive any other exit
