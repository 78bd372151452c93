"""A real worker process for tests of the queue, with tasks whose fate a test decides.

    python -m tests.services.queue_worker URL [--queues a,b] [--concurrency N] [--grace S]
                                              [--until-idle] [--name NAME]

Tasks note what happens in the table `events(job_id, event, pid)`:
    work        notes "start", sleeps `seconds`, notes "end"
    stubborn    the same in a thread, which cannot be cancelled
    crash       notes "start" and kills its own process
    fail        notes "start" and raises
    chain       notes "start", enqueues itself with n - 1 and finishes, in one commit
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from procrastinate import JobContext, RetryStrategy

from db.pool import Pool, open_pool
from db.repositories.jobs import enqueue
from workers.queue.app import QueueApp
from workers.queue.completion import completing
from workers.queue.connector import JobQueueConnector
from workers.queue.worker import run_worker

ROOT = Path(__file__).parents[2]
EVENTS = """CREATE TABLE IF NOT EXISTS events (
    id bigint GENERATED ALWAYS AS IDENTITY, job_id uuid, event text, pid integer,
    at timestamptz NOT NULL DEFAULT clock_timestamp())"""


def build_app(url: str, pool: Pool | None) -> QueueApp:
    app = QueueApp(connector=JobQueueConnector(url, pool=pool))

    async def note(context: JobContext, event: str) -> None:
        assert isinstance(app.connector, JobQueueConnector)
        await app.connector.pool.execute(
            "INSERT INTO events (job_id, event, pid) VALUES ($1, $2, $3)",
            context.job.id,
            event,
            os.getpid(),
        )

    @app.task(name="work", pass_context=True, retry=RetryStrategy())
    async def work(context: JobContext, seconds: float = 0.0, **_: Any) -> None:
        await note(context, "start")
        await asyncio.sleep(seconds)
        await note(context, "end")

    @app.task(name="stubborn", pass_context=True)
    def stubborn(context: JobContext, seconds: float) -> None:
        print(f"stubborn {context.job.id}", flush=True)  # noqa: T201 - the test reads it
        time.sleep(seconds)

    @app.task(name="crash", pass_context=True)
    async def crash(context: JobContext, delay: float = 0.0) -> None:
        await note(context, "start")
        await asyncio.sleep(delay)
        os.kill(os.getpid(), signal.SIGKILL)

    @app.task(name="fail", pass_context=True)
    async def fail(context: JobContext) -> None:
        await note(context, "start")
        raise ValueError("as told")

    @app.task(name="chain", pass_context=True, retry=RetryStrategy())
    async def chain(context: JobContext, n: int) -> None:
        await note(context, "start")
        async with completing(context) as connection:
            await connection.execute(
                "INSERT INTO events (job_id, event, pid) VALUES ($1, 'end', $2)",
                context.job.id,
                os.getpid(),
            )
            if n > 1:
                await enqueue(connection, job_type="chain", payload={"n": n - 1}, max_attempts=None)

    return app


def start_worker(url: str, *arguments: str) -> "subprocess.Popen[str]":
    """A worker process; its output is in `stdout`. The caller ends it."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.services.queue_worker", url, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--queues", default=None)
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--grace", type=float, default=30.0)
    parser.add_argument("--name", default="test worker")
    parser.add_argument("--until-idle", action="store_true")
    options = parser.parse_args()
    pool = await open_pool(options.url, max_size=4)
    try:
        async with build_app(options.url, pool).open_async() as app:
            await run_worker(
                app,
                queues=options.queues.split(",") if options.queues else None,
                concurrency=options.concurrency,
                name=options.name,
                until_idle=options.until_idle,
                shutdown_graceful_timeout=options.grace,
            )
    finally:
        await pool.close()


if __name__ == "__main__":
    asyncio.run(main())
