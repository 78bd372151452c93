"""Run a worker: Procrastinate's, until a signal, or until there is nothing left to wait for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import structlog
from procrastinate.app import WorkerOptions
from procrastinate.middleware import WorkerMiddleware

from db.errors import DatabaseError
from db.pool import Connection, acquired
from db.statements import load
from workers.queue.app import QueueApp
from workers.queue.job_manager import WorkerIdentity, registering
from workers.queue.middleware import GOES_BACK, observe_job
from workers.queue.stopping import Stopper

logger = structlog.get_logger(__name__)

STATEMENTS = load("job_queue")
IDLE_CHECK_SECONDS = 0.2
SHUTDOWN_GRACE_SECONDS = 30.0

StillActive = Callable[[Connection], Awaitable[bool]]


async def run_worker(
    app: QueueApp,
    *,
    queues: Iterable[str] | None = None,
    concurrency: int = 1,
    name: str = "worker",
    until_idle: bool = False,
    still_active: StillActive | None = None,
    shutdown_graceful_timeout: float = SHUTDOWN_GRACE_SECONDS,
    additional_context: dict[str, Any] | None = None,
    worker_middleware: Iterable[WorkerMiddleware] = (),
    install_signal_handlers: bool = True,
) -> None:
    """Run one worker of an open app in this event loop.

    SIGTERM and SIGINT end it: no new job is taken; running ones have `shutdown_graceful_timeout`
    seconds, after which they are cancelled and go back to the queue at once, no attempt spent; what
    cannot be cancelled goes back a little later, with the exit of the process (see Stopper).
    With `until_idle` it also ends when its queues have nothing due, running or to be rescued
    (dead workers' jobs included), and `still_active(connection)`, if given, says that nothing else
    (such as a run whose retry is due later) is worth waiting for.
    """
    served = None if queues is None else list(queues)
    identity = WorkerIdentity(name=name, queues=served)
    token = registering.set(identity)
    options: WorkerOptions = {
        "concurrency": concurrency,
        "name": name,
        "shutdown_graceful_timeout": shutdown_graceful_timeout,
        "additional_context": {**(additional_context or {}), GOES_BACK: True},
        "worker_middleware": [observe_job, *worker_middleware],
        "install_signal_handlers": False,
    }
    if served is not None:
        options["queues"] = served
    try:
        worker = asyncio.create_task(app.run_worker_async(**options), name=f"worker {name}")
    finally:
        registering.reset(token)
    stopper = Stopper(app.job_manager, identity, worker.cancel, grace=shutdown_graceful_timeout)
    if install_signal_handlers:
        stopper.install()
    watcher = asyncio.create_task(_until_idle(app, served, still_active)) if until_idle else None
    try:
        await asyncio.wait(
            {worker} if watcher is None else {worker, watcher},
            return_when=asyncio.FIRST_COMPLETED,
        )
        if watcher is not None and watcher.done():
            watcher.result()
            worker.cancel()
            stopper.asked = True
        try:
            await worker
        except asyncio.CancelledError:
            if not stopper.asked:
                raise
    finally:
        await _end(watcher, worker)
        if install_signal_handlers:
            stopper.remove()


async def _end(*tasks: asyncio.Task[None] | None) -> None:
    for task in tasks:
        if task is not None and not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _until_idle(
    app: QueueApp, queues: list[str] | None, still_active: StillActive | None
) -> None:
    """Return once two looks in a row found nothing to wait for."""
    quiet = 0
    while quiet < 2:
        await asyncio.sleep(IDLE_CHECK_SECONDS)
        try:
            async with acquired(app.job_manager.connector.pool) as connection:
                row = await STATEMENTS["queue_is_idle"].one(connection, queues=queues)
                idle = bool(row["idle"])
                if idle and still_active is not None:
                    idle = not await still_active(connection)
        except DatabaseError as error:
            logger.warning("queue.idle_check_failed", error=str(error))
            idle = False
        quiet = quiet + 1 if idle else 0
