"""What users of Procrastinate rely on: locks, queueing locks, fetching."""

import asyncio
from datetime import timedelta

import pytest
from procrastinate import exceptions, jobs

from tests.services.queue_fixtures import eventually


@pytest.fixture
async def worker_id(app):
    worker_id = await app.job_manager.register_worker()
    yield worker_id
    await app.job_manager.unregister_worker(worker_id)


@pytest.fixture
def fetch(app, worker_id):
    async def fetch(queues=None):
        return await app.job_manager.fetch_job(queues, worker_id)

    return fetch


@pytest.fixture
def finish(app):
    async def finish(job, status=jobs.Status.SUCCEEDED, *, delete_job=False):
        await app.job_manager.finish_job(job, status, delete_job)

    return finish


def deferring(app, **options):
    return app.configure_task("t", **options).defer_async()


async def test_one_running_job_a_lock_over_queues_and_tasks(app, fetch, finish):
    await app.configure_task("a", lock="l", queue="x").defer_async()
    await app.configure_task("b", lock="l", queue="y").defer_async()
    first = await fetch()
    assert await fetch() is None
    await finish(first)
    second = await fetch()
    assert (first.task_name, second.task_name) == ("a", "b")


async def test_a_lock_fetched_by_many_at_once_goes_to_one(app, pool, worker_id):
    await app.configure_task("t", lock="l").batch_defer_async(*({"n": n} for n in range(20)))
    taken = await asyncio.gather(*(app.job_manager.fetch_job(None, worker_id) for _ in range(10)))
    assert sum(job is not None for job in taken) == 1


async def test_concurrent_fetches_share_out_unlocked_jobs(app, worker_id):
    ids = await app.configure_task("t").batch_defer_async(*({"n": n} for n in range(40)))
    taken = await asyncio.gather(*(app.job_manager.fetch_job(None, worker_id) for _ in range(40)))
    assert sorted(job.id for job in taken) == sorted(ids)


async def test_a_lock_serves_by_priority_then_deferral(app, fetch, finish):
    for n, priority in enumerate([0, 2, -1, 2, 0]):
        await app.configure_task("t", lock="l", priority=priority).defer_async(n=n)
    served = []
    while job := await fetch():
        served.append(job.task_kwargs["n"])
        await finish(job)
    assert served == [1, 3, 0, 4, 2]


async def test_better_job_that_comes_later_overtakes_the_waiting_head(app, fetch, finish):
    first = await deferring(app, lock="l")
    running = await fetch()
    waiting = await deferring(app, lock="l")
    assert await fetch() is None
    better = await deferring(app, lock="l", priority=3)
    assert await fetch() is None
    await finish(running)
    order = [running.id]
    while job := await fetch():
        order.append(job.id)
        await finish(job)
    assert order == [first, better, waiting]


async def test_scheduled_head_blocks_the_rest_of_its_lock(app, fetch, pool):
    head = await deferring(app, lock="l", schedule_in={"hours": 1})
    await deferring(app, lock="l")
    assert await fetch() is None
    await pool.execute("UPDATE queue.job_queue SET scheduled_for = now() WHERE id = $1", head)
    assert (await fetch()).id == head


async def test_head_in_a_queue_nobody_serves_blocks_the_rest(app, fetch):
    head = await deferring(app, lock="l", queue="unserved")
    await deferring(app, lock="l")
    assert await fetch(["default"]) is None
    assert await fetch(["default"]) is None
    assert (await fetch(["unserved"])).id == head


async def test_retry_keeps_its_lock_and_its_place(app, fetch, finish):
    first = await deferring(app, lock="l")
    second = await deferring(app, lock="l")
    await app.job_manager.retry_job(await fetch(), retry_at=None)
    assert (await fetch()).id == first
    assert await fetch() is None
    await app.job_manager.retry_job_by_id_async(first, retry_at=soon(hours=1))
    assert await fetch() is None  # the head waits for its retry, and all wait with it
    assert await app.job_manager.cancel_job_by_id_async(first)
    assert (await fetch()).id == second


async def test_retry_with_a_new_lock_frees_the_old_one(app, fetch):
    await deferring(app, lock="l")
    second = await deferring(app, lock="l")
    await app.job_manager.retry_job(await fetch(), retry_at=soon(hours=1), lock="m")
    assert (await fetch()).id == second


async def test_no_lock_never_blocks(app, fetch):
    await deferring(app)
    await deferring(app)
    assert await fetch()
    assert await fetch()


async def test_aborting_job_still_holds_its_lock(app, fetch):
    await deferring(app, lock="l")
    await deferring(app, lock="l")
    running = await fetch()
    assert await app.job_manager.cancel_job_by_id_async(running.id, abort=True)
    assert await fetch() is None


@pytest.mark.parametrize("how", ["cancel", "delete", "fail by hand", "other lock", "worse"])
async def test_whoever_leaves_the_head_of_a_lock_lets_the_next_one_go(app, pool, fetch, how):
    head = await deferring(app, lock="l", schedule_in={"hours": 1})
    second = await deferring(app, lock="l")
    third = await deferring(app, lock="l")
    assert await fetch() is None
    statement = {
        "cancel": "UPDATE queue.job_queue SET status = 'cancelled' WHERE id = $1",
        "delete": "DELETE FROM queue.job_queue WHERE id = $1",
        "fail by hand": "UPDATE queue.job_queue SET status = 'failed' WHERE id = $1",
        "other lock": "UPDATE queue.job_queue SET lock = 'other' WHERE id = $1",
        "worse": "UPDATE queue.job_queue SET priority = 10 WHERE id = $1",
    }[how]
    await pool.execute(statement, head)
    assert (await fetch()).id == second
    assert await fetch() is None
    assert third


@pytest.mark.parametrize("lock", ["l", ""])
async def test_lock_released_while_a_person_holds_the_next_row_is_healed(app, pool, workers, lock):
    """A transaction left open in psql on the one waiting job must not strand it."""
    ran = []

    @app.task(name="t", lock=lock)
    async def t(n):
        ran.append(n)

    gate = asyncio.Event()

    @app.task(name="held", lock=lock)
    async def held():
        await gate.wait()

    await held.defer_async()
    workers.start()
    await eventually(
        lambda: pool.fetchval(
            "SELECT count(*) = 1 FROM queue.job_queue WHERE status = 'processing'"
        )
    )
    waiting = await t.defer_async(n=1)
    async with pool.acquire() as person, person.transaction():
        await person.execute("SELECT FROM queue.job_queue WHERE id = $1 FOR UPDATE", waiting)
        gate.set()
        await eventually(
            lambda: pool.fetchval(
                "SELECT count(*) = 1 FROM queue.job_queue WHERE status = 'completed'"
            )
        )
        assert await pool.fetchval("SELECT blocked FROM queue.job_queue WHERE id = $1", waiting)
    await eventually(lambda: bool(ran))


async def test_queueing_lock_is_free_once_the_job_is_fetched(app, fetch):
    await deferring(app, queueing_lock="q", queue="x")
    with pytest.raises(exceptions.AlreadyEnqueued):
        await app.configure_task("other", queueing_lock="q", queue="y").defer_async()
    assert await fetch()
    await deferring(app, queueing_lock="q")


async def test_retry_against_a_taken_queueing_lock_fails_and_names_the_other(app, fetch, job):
    running_id = await deferring(app, queueing_lock="q")
    running = await fetch()
    waiting = await deferring(app, queueing_lock="q")
    await app.job_manager.retry_job(running, retry_at=None)
    row = await job(running_id)
    assert (row["status"], row["attempts"]) == ("failed", 1)
    assert waiting in row["last_error"]
    assert (await fetch()).id == waiting


async def test_hand_retry_against_a_taken_queueing_lock_stays_failed(app, fetch, finish, job):
    failed = await deferring(app, queueing_lock="q")
    await finish(await fetch(), jobs.Status.FAILED)
    waiting = await deferring(app, queueing_lock="q")
    await app.job_manager.retry_job_by_id_async(failed, retry_at=soon())
    row = await job(failed)
    assert row["status"] == "failed"
    assert waiting in row["last_error"]


@pytest.mark.parametrize("queues", [["a", "b"], ("a", "b"), {"a", "b"}, iter(["a", "b"])])
async def test_queues_may_be_any_iterable(app, fetch, queues):
    await deferring(app, queue="c")
    wanted = await deferring(app, queue="b")
    assert (await fetch(queues)).id == wanted


async def test_no_queues_named_means_all(app, fetch):
    await deferring(app, queue="a")
    await deferring(app, queue="b")
    assert await fetch(None)
    assert await fetch(None)
    assert await fetch(None) is None


async def test_only_due_jobs_are_fetched_and_attempts_stay(app, fetch, job):
    await deferring(app, schedule_in={"hours": 1})
    assert await fetch() is None
    now = await deferring(app)
    fetched = await fetch()
    assert (fetched.id, fetched.attempts, fetched.status) == (now, 0, "doing")
    assert (await job(now))["worker_id"] == fetched.worker_id


async def test_due_is_decided_by_the_database(app, fetch, pool):
    """Rows become due as the server's clock passes them, whatever ours says."""
    await pool.execute(
        """INSERT INTO queue.job_queue (job_type, scheduled_for)
           VALUES ('t', clock_timestamp() + interval '200 ms')"""
    )
    assert await fetch() is None
    await eventually(fetch)


async def test_paused_queue_is_not_served(app, fetch, pool):
    await deferring(app, queue="a")
    await pool.execute("INSERT INTO queue.queue_state (queue_name, paused_at) VALUES ('a', now())")
    assert await fetch() is None
    assert await fetch(["a"]) is None
    await pool.execute("UPDATE queue.queue_state SET paused_at = NULL")
    assert await fetch(["a"])


async def test_rows_locked_by_a_person_do_not_hide_the_others(app, fetch, pool):
    ids = [await deferring(app) for _ in range(60)]
    async with pool.acquire() as person, person.transaction():
        await person.execute(
            "SELECT FROM queue.job_queue WHERE id = ANY($1::uuid[]) FOR UPDATE", ids[:59]
        )
        assert (await fetch()).id == ids[59]
        assert await fetch() is None
    assert (await fetch()).id == ids[0]


async def test_a_persons_large_update_does_not_hide_the_other_queues(app, fetch, pool):
    await pool.execute(
        """INSERT INTO queue.job_queue (job_type, queue_name, priority)
           SELECT 't', 'busy', 1 FROM generate_series(1, 5000)"""
    )
    other = await deferring(app, queue="other")
    async with pool.acquire() as person, person.transaction():
        await person.execute("UPDATE queue.job_queue SET payload = '{}' WHERE queue_name = 'busy'")
        assert (await fetch(["busy", "other"])).id == other


def soon(**delta):
    from procrastinate import utils

    return utils.utcnow() + timedelta(**delta)
