"""The queue runs jobs: the way of one job, from each front door to each end."""

import asyncio
from datetime import timedelta

import pytest
from procrastinate import JobContext, RetryStrategy, utils

from db.pool import connect, transaction
from db.repositories.jobs import enqueue
from pipeline.errors import LostClaim
from tests.services.queue_fixtures import eventually
from workers.queue.completion import completing, ending
from workers.queue.outcomes import EndJob, Fail, Retry, Snooze


async def test_deferred_job_runs_and_completes(app, workers, job):
    seen = []

    @app.task(name="echo")
    async def echo(text):
        seen.append(text)

    job_id = await echo.defer_async(text="hello")
    await workers.drain()
    row = await job(job_id)
    assert seen == ["hello"]
    assert (row["status"], row["attempts"], row["claim"]) == ("completed", 1, 1)
    assert row["completed_at"] >= row["started_at"]


async def test_plain_insert_is_a_job(app, workers, pool):
    seen = []

    @app.task(name="echo")
    async def echo(**payload):
        seen.append(payload)

    await pool.execute(
        """INSERT INTO queue.job_queue (job_type, payload) VALUES ('echo', '{"a": 1}')"""
    )
    await workers.drain()
    assert seen == [{"a": 1}]


async def test_task_result_next_job_and_completion_are_one_commit(app, workers, pool, job):
    order = []

    @app.task(name="first", pass_context=True)
    async def first(context: JobContext):
        async with completing(context) as connection:
            next_id = await enqueue(connection, job_type="second", payload={"n": 1})
            assert await pool.fetchrow("SELECT FROM queue.job_queue WHERE id = $1", next_id) is None
        order.append("first")

    @app.task(name="second")
    async def second(n):
        order.append(n)

    job_id = await first.defer_async()
    await workers.drain()
    assert order == ["first", 1]
    assert (await job(job_id))["attempts"] == 1


async def test_failing_block_leaves_nothing_behind(app, workers, pool, job):
    @app.task(name="first", pass_context=True)
    async def first(context: JobContext):
        async with completing(context) as connection:
            await enqueue(connection, job_type="second", payload={})
            raise ValueError("no")

    job_id = await first.defer_async()
    await workers.drain()
    row = await job(job_id)
    assert row["status"] == "failed"
    assert row["last_error"].startswith("ValueError: no")
    assert await pool.fetchval("SELECT count(*) FROM queue.job_queue") == 1


async def test_completion_of_a_lost_claim_writes_nothing(app, workers, pool, job):
    lost = []

    @app.task(name="first", pass_context=True)
    async def first(context: JobContext):
        await pool.execute("UPDATE queue.job_queue SET claim = claim + 1 WHERE job_type = 'first'")
        try:
            async with completing(context) as connection:
                await enqueue(connection, job_type="second", payload={})
        except LostClaim as error:
            lost.append(error)
            raise

    job_id = await first.defer_async()
    task = workers.start()
    async with asyncio.timeout(20):
        while not lost:
            await asyncio.sleep(0.01)
    await workers.stop(task)
    assert await pool.fetchval("SELECT count(*) FROM queue.job_queue") == 1
    assert (await job(job_id))["status"] != "completed"


@pytest.mark.parametrize(
    ("outcome", "status", "attempts"),
    [
        (Retry(at=timedelta(hours=1), error="later"), "pending", 1),
        (Snooze(until=timedelta(hours=1), error="quota"), "pending", 0),
        (Fail(error="never"), "failed", 1),
    ],
)
@pytest.mark.parametrize("raised", [True, False])
async def test_task_chooses_its_ending(app, workers, job, outcome, status, attempts, raised):
    @app.task(name="stage", pass_context=True)
    async def stage(context: JobContext):
        if raised:
            raise EndJob(outcome)
        async with ending(context, outcome):
            pass

    job_id = await stage.defer_async()
    await workers.drain()
    row = await job(job_id)
    assert (row["status"], row["attempts"]) == (status, attempts)
    assert row["last_error"] == outcome.error
    assert (row["next_retry_at"] is None) == (status == "failed")


@pytest.mark.parametrize("limit", [1, 3])
async def test_max_attempts_of_the_row_is_exact(app, workers, pool, job, limit):
    runs = []

    @app.task(name="flaky", retry=RetryStrategy())
    async def flaky():
        runs.append(1)
        raise ValueError("again")

    async with transaction(pool) as connection:
        job_id = await enqueue(connection, job_type="flaky", payload={}, max_attempts=limit)
    await workers.drain()
    row = await job(job_id)
    assert len(runs) == limit
    assert (row["status"], row["attempts"]) == ("failed", limit)
    assert "ValueError: again" in row["last_error"]
    history = await pool.fetch("SELECT attempt, outcome FROM queue.job_attempts ORDER BY attempt")
    assert [row["attempt"] for row in history] == list(range(1, limit + 1))


async def test_unknown_job_type_fails_with_a_clear_error(workers, pool, job):
    async with transaction(pool) as connection:
        job_id = await enqueue(connection, job_type="vidoe.script", payload={})
    await workers.drain()
    row = await job(job_id)
    assert (row["status"], row["attempts"]) == ("failed", 1)
    assert "unknown job_type 'vidoe.script'" in row["last_error"]


async def test_retry_delay_ignores_the_clock_of_the_host(app, workers, job, monkeypatch):
    """The host is a day ahead; its strategy computes the moment on that clock."""

    @app.task(name="flaky", retry=RetryStrategy(wait=600))
    async def flaky():
        raise ValueError("again")

    real = utils.utcnow
    monkeypatch.setattr(utils, "utcnow", lambda: real() + timedelta(days=1))
    job_id = await flaky.defer_async()
    await workers.drain()
    row = await job(job_id)
    assert timedelta(seconds=590) < row["next_retry_at"] - row["started_at"] < timedelta(hours=1)


async def test_next_job_of_the_finishing_worker_wakes_nobody_else(app, workers, database_url, pool):
    """One next job is the finishing worker's own; of two, the second is for everybody."""
    heard = []
    connection = await connect(database_url)
    await connection.add_listener("procrastinate_any_queue_v1", lambda *args: heard.append(args[3]))
    done = []

    @app.task(name="link", pass_context=True)
    async def link(context: JobContext, n, width=1):
        async with completing(context) as transaction_connection:
            for _ in range(width if n else 0):
                await enqueue(transaction_connection, job_type="link", payload={"n": n - 1})
        done.append(n)

    workers.start()
    await eventually(lambda: pool.fetchval("SELECT count(*) FROM queue.job_workers"))
    await eventually(lambda: app.connector.can_wake)
    await link.defer_async(n=5)
    await eventually(lambda: len(done) == 6)
    await connection.execute("SELECT 1")
    assert len(heard) == 1
    await link.defer_async(n=1, width=2)
    await eventually(lambda: len(done) == 9)
    await connection.execute("SELECT 1")
    assert len(heard) == 3
    await connection.close()


async def test_job_announced_during_a_fetch_is_not_forgotten(app, workers, pool):
    """Procrastinate forgets what it was told during a fetch, and would look again much later."""
    ran = []

    @app.task(name="t")
    async def t():
        ran.append(1)

    app.worker_defaults["fetch_job_polling_interval"] = 600
    workers.start()
    await eventually(lambda: app.connector.can_wake)
    async with pool.acquire() as person:
        transaction = person.transaction()
        await transaction.start()
        await person.execute(
            """WITH alive AS (INSERT INTO queue.job_workers (last_heartbeat)
                              VALUES (now() + interval '1 day') RETURNING id)
               INSERT INTO queue.job_queue (job_type, status, worker_id, started_at, lock)
               SELECT 'held', 'processing', id, now(), 'l' FROM alive"""
        )
        # The fetch of this one waits for the person: the lock may be taken, or free again.
        await pool.execute("INSERT INTO queue.job_queue (job_type, lock) VALUES ('t', 'l')")
        await eventually(
            lambda: pool.fetchval(
                """SELECT count(*) = 1 FROM pg_stat_activity
                   WHERE wait_event_type = 'Lock' AND datname = current_database()"""
            )
        )
        told = app.connector.told
        await pool.execute("INSERT INTO queue.job_queue (job_type) VALUES ('t')")
        await eventually(lambda: app.connector.told > told)
        await transaction.commit()
    await eventually(lambda: ran == [1])
