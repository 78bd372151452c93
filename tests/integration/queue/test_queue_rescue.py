"""Workers die, stop and freeze as processes do; their jobs do not."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from db.pool import transaction
from db.repositories.jobs import enqueue
from tests.services.queue_fixtures import eventually
from tests.services.queue_worker import EVENTS, start_worker

# A database that has just started rescues nobody for 15 s.
RESCUE = 60.0
LONG_UP = "SELECT pg_postmaster_start_time() < clock_timestamp() - interval '15 s'"


@pytest.fixture
async def processes(pool) -> AsyncIterator[Callable]:
    await pool.execute(EVENTS)
    started = []

    def start(url, *arguments):
        process = start_worker(url, *arguments)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGCONT)
            process.kill()
        process.communicate()


async def put(pool, job_type, **options) -> str:
    options.setdefault("payload", {})
    async with transaction(pool) as connection:
        return str(await enqueue(connection, job_type=job_type, **options))


def events(pool, event, job_id=None):
    return pool.fetchval(
        "SELECT count(*) FROM events WHERE event = $1 AND ($2::uuid IS NULL OR job_id = $2)",
        event,
        job_id,
    )


async def test_jobs_of_a_killed_worker_run_again(pool, database_url, processes, job):
    first = processes(database_url, "--concurrency", "2")
    jobs = [await put(pool, "work", payload={"seconds": 600}) for _ in range(2)]
    await eventually(lambda: is_equal(events(pool, "start"), 2))
    await pool.execute("UPDATE queue.job_queue SET payload = '{\"seconds\": 0}'")
    first.kill()
    first.wait()
    processes(database_url, "--until-idle")
    for job_id in jobs:
        await eventually(lambda job_id=job_id: has_status(job, job_id, "completed"), within=RESCUE)
        row = await job(job_id)
        assert (row["attempts"], row["crashes"], row["claim"]) == (1, 1, 2)
    assert await pool.fetchval("SELECT count(*) FROM queue.job_attempts WHERE outcome='crash'") == 2
    assert await pool.fetchval(
        "SELECT count(*) FROM queue.job_workers WHERE pid = $1 AND stopped_at IS NOT NULL",
        first.pid,
    )


async def test_frozen_worker_changes_nothing_when_it_wakes(pool, database_url, processes, job):
    first = processes(database_url)
    job_id = await put(pool, "work", payload={"seconds": 2})
    await eventually(lambda: is_equal(events(pool, "start"), 1))
    os.kill(first.pid, signal.SIGSTOP)
    # Its session lives on, so only 30 s of silence tell; let them have passed.
    await pool.execute("UPDATE queue.job_workers SET last_heartbeat = now() - interval '31 s'")
    second = processes(database_url)
    await eventually(lambda: is_equal(events(pool, "start"), 2), within=RESCUE)
    await pool.execute("UPDATE queue.job_queue SET payload = '{\"seconds\": 600}'")
    await eventually(lambda: has_status(job, job_id, "completed"), within=RESCUE)
    ended = await job(job_id)
    os.kill(first.pid, signal.SIGCONT)
    await eventually(lambda: is_equal(events(pool, "end"), 2))
    again = await put(pool, "work")
    await eventually(lambda: has_status(job, again, "completed"))
    assert await job(job_id) == ended
    assert second.poll() is None
    assert first.poll() is None


async def test_a_job_that_kills_its_worker_thrice_is_quarantined_alone(
    pool, database_url, processes, job
):
    """Its neighbour dies with it twice, and is not condemned for it."""
    poison = await put(pool, "crash", payload={"delay": 0.5}, priority=1)
    neighbour = await put(pool, "work", payload={"seconds": 3}, priority=2)

    async def condemned():
        if not any(process.poll() is None for process in running):
            running.append(processes(database_url, "--concurrency", "2"))
        return await has_status(job, poison, "failed")

    running = [processes(database_url, "--concurrency", "2")]
    await eventually(condemned, within=4 * RESCUE)
    row = await job(poison)
    assert (row["crashes"], row["attempts"]) == (3, 0)
    assert "quarantined after 3 crashes" in row["last_error"]
    assert "pid" in row["last_error"]
    running.append(processes(database_url, "--concurrency", "2"))
    await eventually(lambda: has_status(job, neighbour, "completed"), within=RESCUE)
    assert (await job(neighbour))["crashes"] == 2


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_signal_lets_running_jobs_end_and_takes_no_more(
    pool, database_url, processes, job, how
):
    worker = processes(database_url)
    first = await put(pool, "work", payload={"seconds": 1})
    await eventually(lambda: is_equal(events(pool, "start"), 1))
    second = await put(pool, "work")
    worker.send_signal(how)
    assert await asyncio.to_thread(worker.wait, 30) == 0
    assert (await job(first))["status"] == "completed"
    assert (await job(second))["status"] == "pending"


async def test_job_still_running_after_the_grace_goes_back_at_once(
    pool, database_url, processes, job
):
    worker = processes(database_url, "--grace", "0.2")
    job_id = await put(pool, "work", payload={"seconds": 600})
    await eventually(lambda: is_equal(events(pool, "start"), 1))
    worker.terminate()
    assert await asyncio.to_thread(worker.wait, 30) == 0
    row = await job(job_id)
    assert (row["status"], row["attempts"], row["crashes"]) == ("pending", 0, 0)
    assert row["ready"]
    assert row["last_error"] == "its worker was shut down before it was done"


async def test_a_second_signal_gives_back_what_cannot_be_cancelled(
    pool, database_url, processes, job
):
    """A thread cannot be stopped: its job goes back and its process leaves without it."""
    worker = processes(database_url)
    job_id = await put(pool, "stubborn", payload={"seconds": 600})
    await eventually(lambda: has_status(job, job_id, "processing"))
    await asyncio.to_thread(worker.stdout.readline)
    worker.terminate()
    await asyncio.sleep(0.3)
    assert worker.poll() is None
    worker.terminate()
    assert await asyncio.to_thread(worker.wait, 30) == 1
    row = await job(job_id)
    assert (row["status"], row["attempts"], row["crashes"]) == ("pending", 0, 0)


async def test_what_ignores_the_end_of_the_grace_is_given_back_in_time(
    pool, database_url, processes, job
):
    worker = processes(database_url, "--grace", "0.1")
    job_id = await put(pool, "stubborn", payload={"seconds": 600})
    await eventually(lambda: has_status(job, job_id, "processing"))
    worker.terminate()
    assert await asyncio.to_thread(worker.wait, 60) == 1
    assert (await job(job_id))["status"] == "pending"


async def test_chain_survives_the_murder_of_its_workers(pool, database_url, processes):
    """Every link's effect and successor are one commit: no link is lost, none written twice."""
    links = 30
    await put(pool, "chain", payload={"n": links}, max_attempts=None)
    for milestone in (5, 12, 20):
        worker = processes(database_url)
        await eventually(lambda m=milestone: at_least(events(pool, "end"), m), within=RESCUE)
        worker.kill()
        worker.wait()
    processes(database_url)
    await eventually(lambda: at_least(events(pool, "end"), links), within=RESCUE)
    assert await events(pool, "end") == links
    assert await pool.fetchval("SELECT count(*) FROM queue.job_queue") == links


async def test_until_idle_waits_for_the_jobs_of_dead_workers(pool, database_url, processes, job):
    first = processes(database_url)
    job_id = await put(pool, "work", payload={"seconds": 600})
    await eventually(lambda: is_equal(events(pool, "start"), 1))
    await pool.execute("UPDATE queue.job_queue SET payload = '{}'")
    first.kill()
    first.wait()
    second = processes(database_url, "--until-idle")
    assert await asyncio.to_thread(second.wait, RESCUE) == 0
    assert (await job(job_id))["status"] == "completed"


async def test_lost_answer_of_a_fetch_comes_back(pool, app, workers, job):
    """The row says that this worker runs the job; the worker never heard of it."""
    ran = []

    @app.task(name="echo")
    async def echo():
        ran.append(1)

    workers.start()
    worker_id = await eventually(lambda: pool.fetchval("SELECT max(id) FROM queue.job_workers"))
    await pool.execute(
        """INSERT INTO queue.job_queue (job_type, status, worker_id, started_at, claim)
           VALUES ('echo', 'processing', $1, clock_timestamp(), 1)""",
        worker_id,
    )
    await eventually(lambda: bool(ran))
    row = await eventually(
        lambda: pool.fetchrow("SELECT * FROM queue.job_queue WHERE status = 'completed'")
    )
    assert (row["attempts"], row["crashes"], row["claim"]) == (1, 0, 2)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM queue.job_workers",
        "UPDATE queue.job_workers SET stopped_at = now()",
        "UPDATE queue.job_workers SET last_heartbeat = now() - interval '10 s'",
    ],
)
async def test_living_worker_is_not_called_dead_for_what_its_row_says(
    pool, app, workers, job, statement
):
    """Its session holds its lock, and its next heartbeat puts the row right."""
    gate = asyncio.Event()

    @app.task(name="long")
    async def long():
        await gate.wait()

    job_id = await long.defer_async()
    workers.start(name="first")
    await eventually(lambda: has_status(job, job_id, "processing"))
    await eventually(lambda: pool.fetchval(LONG_UP), within=RESCUE)
    for _ in range(5):  # a heartbeat may come between
        await pool.execute(statement)
        assert await pool.fetchval("SELECT rescued FROM queue.job_rescue()") == 0
    row = await eventually(
        lambda: pool.fetchrow(
            """SELECT name, pid, host FROM queue.job_workers
               WHERE stopped_at IS NULL AND last_heartbeat > now() - interval '3 s'"""
        )
    )
    assert (row["name"], row["pid"]) == ("first", os.getpid())
    gate.set()
    await eventually(lambda: has_status(job, job_id, "completed"))
    assert (await job(job_id))["crashes"] == 0


async def test_job_of_an_owner_that_never_was_runs_again(pool, app, workers):
    ran = []

    @app.task(name="echo")
    async def echo():
        ran.append(1)

    await pool.execute(
        """INSERT INTO queue.job_queue (job_type, status, worker_id, started_at)
           VALUES ('echo', 'processing', 4711, now())"""
    )
    workers.start()
    await eventually(lambda: bool(ran), within=RESCUE)


async def test_scheduled_job_is_taken_up_when_due(pool, app, workers, job):
    @app.task(name="echo")
    async def echo():
        pass

    workers.start()
    job_id = await echo.configure(schedule_in={"milliseconds": 700}).defer_async()
    row = await job(job_id)
    assert not row["ready"]
    await eventually(lambda: has_status(job, job_id, "completed"))
    row = await job(job_id)
    assert row["started_at"] >= row["scheduled_for"]
    assert row["started_at"] - row["scheduled_for"] < timedelta(seconds=20)


async def is_equal(count, expected):
    return await count == expected


async def at_least(count, expected):
    return await count >= expected


async def has_status(job, job_id, status):
    row = await job(job_id)
    return row is not None and row["status"] == status
