"""A disk that fills up under a real worker: the step rests, jobs wait, and both go on."""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from db.pool import Pool
from pipeline.domain import Film, RenderedFiles, StageName
from pipeline.ports import Progress
from tests.integration.workers.runs import add_channel, begin, value
from workers.app import make_app
from workers.disk import DiskGuard
from workers.queue.connector import JobQueueConnector
from workers.queue.worker import run_worker
from workers.runtime import Runtime, open_runtime
from workers.settings import Settings

STEP = "SELECT status, error_message, attempt FROM workflow_steps WHERE step_name = $1"


class FullDisk:
    """A renderer on a disk that has no room."""

    async def render(self, film: Film, *, folder: Path, progress: Progress) -> RenderedFiles:
        raise OSError(errno.ENOSPC, "No space left on device")


@asynccontextmanager
async def working(runtime: Runtime, url: str, guard: DiskGuard) -> AsyncIterator[None]:
    app = make_app(JobQueueConnector(url, pool=runtime.pool))
    app.job_manager.limit_queues = guard
    async with app.open_async():
        worker = asyncio.create_task(
            run_worker(
                app, concurrency=1, additional_context={"runtime": runtime},
                install_signal_handlers=False, shutdown_graceful_timeout=1,
            )
        )  # fmt: skip
        try:
            yield
        finally:
            worker.cancel()
            with pytest.raises(asyncio.CancelledError):
                await worker


async def until(pool: Pool, stage: StageName, status: str) -> None:
    async with asyncio.timeout(60):
        while (await pool.fetchrow(STEP, stage))["status"] != status:
            await asyncio.sleep(0.05)


@pytest.fixture
async def runtime(database_url: str, make_data_dir: Callable[[], Path]) -> AsyncIterator[Runtime]:
    settings = Settings.from_env({"YTEMPIRE_DATA_DIR": str(make_data_dir())})
    async with open_runtime(settings, database_url) as opened:
        yield opened


@pytest.fixture
async def run(pool: Pool) -> UUID:
    await add_channel(pool)
    return (await begin(pool)).execution_id


async def test_full_disk_parks_the_step_without_an_attempt(
    pool: Pool, run: UUID, runtime: Runtime, database_url: str
) -> None:
    full = replace(runtime, renderer=FullDisk())
    async with working(full, database_url, DiskGuard(Path("/"), free=lambda _: 1 << 40)):
        await until(pool, StageName.RENDER, "retrying")
    row = await pool.fetchrow(
        "SELECT status, error_message, next_retry_at > now() AS later FROM workflow_executions"
    )
    assert (row["status"], row["later"]) == ("retrying", True)
    assert "the disk of this host is full" in row["error_message"]
    attempts = "SELECT attempts FROM queue.job_queue WHERE job_type = 'video.render'"
    assert await value(pool, attempts) == 0


async def test_no_job_is_taken_below_the_floor_and_all_are_once_there_is_room(
    pool: Pool, run: UUID, runtime: Runtime, database_url: str
) -> None:
    room = 200 * 1024**2  # enough to write and to speak, not to draw

    def free(folder: Path) -> int:
        return room

    full = replace(runtime, renderer=FullDisk())
    async with working(full, database_url, DiskGuard(Path("/"), free=free)):
        await until(pool, StageName.VOICE, "success")
        await asyncio.sleep(3)  # longer than a worker's pause between two looks
        assert (await pool.fetchrow(STEP, StageName.RENDER))["attempt"] == 0
        room = 1 << 40
        await until(pool, StageName.RENDER, "retrying")
