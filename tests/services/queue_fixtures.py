"""An open app on a database of its own, with workers that a test starts and stops."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest

from db.pool import Pool
from workers.queue.app import QueueApp
from workers.queue.connector import JobQueueConnector
from workers.queue.worker import run_worker


@pytest.fixture
async def app(database_url: str, pool: Pool) -> AsyncIterator[QueueApp]:
    queue_app = QueueApp(connector=JobQueueConnector(database_url, pool=pool))
    async with queue_app.open_async():
        yield queue_app


class Workers:
    """Starts workers of an app in this loop; stop() drains one, and the end of the test all."""

    def __init__(self, app: QueueApp) -> None:
        self.app = app
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, **options: Any) -> asyncio.Task[None]:
        options.setdefault("install_signal_handlers", False)
        task = asyncio.create_task(run_worker(self.app, **options))
        self.tasks.append(task)
        return task

    async def stop(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def drain(self, **options: Any) -> None:
        """Run one worker until nothing is left to do."""
        async with asyncio.timeout(60):
            await run_worker(self.app, until_idle=True, install_signal_handlers=False, **options)


@pytest.fixture
async def workers(app: QueueApp) -> AsyncIterator[Workers]:
    started = Workers(app)
    yield started
    for task in started.tasks:
        await started.stop(task)


@pytest.fixture
async def job(pool: Pool) -> Callable[[Any], Any]:
    """job(id): the row of a job as it is now, None if there is none."""

    async def read(job_id: Any) -> asyncpg.Record | None:
        return await pool.fetchrow("SELECT * FROM queue.job_queue WHERE id = $1", job_id)

    return read


async def eventually(condition: Callable[[], Any], *, within: float = 30.0) -> Any:
    """The first true result of condition(), sync or async; AssertionError when there is none."""
    async with asyncio.timeout(within):
        while True:
            result = condition()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return result
            await asyncio.sleep(0.01)
