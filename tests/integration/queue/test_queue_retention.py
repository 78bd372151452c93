"""Old jobs leave the table by themselves, and old workers once nothing names them."""

from datetime import timedelta

import asyncpg
import pytest

from db.pool import connect
from workers.app import make_app
from workers.queue.connector import JobQueueConnector
from workers.queue.retention import KEPT, keep_house, prune_workers
from workers.queue.worker import run_worker
from workers.runtime import open_runtime
from workers.settings import Settings
from workers.tasks.names import PRUNE

LONG_AGO = "now() - interval '40 days'"


async def insert_ended(pool, status, age: timedelta, worker_id=None):
    return await pool.fetchval(
        """INSERT INTO queue.job_queue (job_type, status, completed_at, worker_id)
           VALUES ('t', $1, now() - $2::interval, $3) RETURNING id""",
        status,
        age,
        worker_id,
    )


async def insert_worker(pool, stopped_at=LONG_AGO, last_heartbeat=LONG_AGO):
    return await pool.fetchval(
        f"""INSERT INTO queue.job_workers (name, stopped_at, last_heartbeat)
            VALUES ('w', {stopped_at}, {last_heartbeat}) RETURNING id"""
    )


async def left(pool, table="queue.job_queue"):
    return {row["id"] for row in await pool.fetch(f"SELECT id FROM {table}")}


@pytest.mark.parametrize("status", KEPT)
async def test_each_status_is_kept_for_its_own_time(pool, status):
    young = await insert_ended(pool, status, KEPT[status] - timedelta(hours=1))
    await insert_ended(pool, status, KEPT[status] + timedelta(hours=1))
    assert await keep_house(pool) == (1, 0)
    assert await left(pool) == {young}


async def test_waiting_and_running_jobs_are_kept_whatever_their_age(pool):
    await pool.execute(
        f"""INSERT INTO queue.job_queue (job_type, status, worker_id, created_at, started_at)
            VALUES ('t', 'pending', NULL, {LONG_AGO}, NULL),
                   ('t', 'processing', 1, {LONG_AGO}, {LONG_AGO})"""
    )
    assert await keep_house(pool) == (0, 0)
    assert len(await left(pool)) == 2


async def test_worker_goes_once_no_job_and_no_attempt_names_it(pool):
    forgotten = await insert_worker(pool)
    of_a_job, of_an_attempt = await insert_worker(pool), await insert_worker(pool)
    kept_job = await insert_ended(pool, "failed", timedelta(days=1), worker_id=of_a_job)
    await pool.execute(
        """INSERT INTO queue.job_attempts (job_id, attempt, worker_id, started_at)
           VALUES ($1, 1, $2, now())""",
        kept_job,
        of_an_attempt,
    )
    assert await keep_house(pool) == (0, 1)
    assert await left(pool, "queue.job_workers") == {of_a_job, of_an_attempt}
    assert forgotten not in await left(pool, "queue.job_workers")
    await pool.execute("DELETE FROM queue.job_queue")
    assert await keep_house(pool) == (0, 2)


async def test_worker_that_may_come_back_is_kept(pool, database_url):
    await insert_worker(pool, stopped_at="now()")
    await insert_worker(pool, stopped_at="NULL")
    await insert_worker(pool, last_heartbeat="now()")
    frozen = await insert_worker(pool)
    session: asyncpg.Connection = await connect(database_url)
    try:
        await session.execute(
            "SELECT pg_advisory_lock(queue.job_worker_lock_class(), $1::integer)", frozen
        )
        assert await prune_workers(pool) == 0
    finally:
        await session.close()
    assert len(await left(pool, "queue.job_workers")) == 4


async def test_the_hourly_job_prunes(pool, database_url, tmp_path):
    await insert_ended(pool, "completed", timedelta(days=8))
    settings = Settings.from_env({"YTEMPIRE_DATA_DIR": str(tmp_path)})
    async with open_runtime(settings, database_url) as runtime:
        app = make_app(JobQueueConnector(database_url, pool=runtime.pool))
        (period,) = [
            periodic.cron
            for periodic in app.periodic_registry.periodic_tasks.values()
            if periodic.task.name == PRUNE
        ]
        assert period.split()[1:] == ["*"] * 4
        async with app.open_async():
            await app.configure_task(PRUNE).defer_async(timestamp=0)
            await run_worker(
                app,
                queues=["maintenance"],
                until_idle=True,
                install_signal_handlers=False,
                additional_context={"runtime": runtime},
            )
    # The worker may have added a job of the period itself, if its minute has just passed.
    rows = await pool.fetch("SELECT status FROM queue.job_queue WHERE job_type = $1", PRUNE)
    assert {row["status"] for row in rows} == {"completed"}
    assert await pool.fetchval("SELECT count(*) FROM queue.job_queue WHERE job_type = 't'") == 0
