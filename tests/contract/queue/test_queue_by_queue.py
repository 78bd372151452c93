"""What users of Procrastinate rely on: what is asked of one queue touches no other."""

from datetime import UTC, datetime

import pytest
from procrastinate import RetryDecision, jobs

OLD = datetime(2001, 1, 1, tzinfo=UTC)


@pytest.fixture
async def worker_id(app):
    worker_id = await app.job_manager.register_worker()
    yield worker_id
    await app.job_manager.unregister_worker(worker_id)


async def test_old_jobs_of_one_queue_are_deleted_and_no_others(app, pool):
    for queue in ("mine", "other"):
        await pool.execute(
            """INSERT INTO queue.job_queue (job_type, queue_name, status, completed_at, created_at)
               VALUES ('t', $1, 'completed', $2, $2)""",
            queue,
            OLD,
        )
    await app.job_manager.delete_old_jobs(nb_hours=1, queue="mine")
    assert await pool.fetchval("SELECT array_agg(queue_name) FROM queue.job_queue") == ["other"]


async def test_jobs_to_abort_are_listed_by_queue(app, worker_id):
    asked = {}
    for queue in ("mine", "other"):
        await app.configure_task("t", queue=queue).defer_async()
        asked[queue] = await app.job_manager.fetch_job([queue], worker_id)
        await app.job_manager.cancel_job_by_id_async(asked[queue].id, abort=True)
    assert list(await app.job_manager.list_jobs_to_abort_async("mine")) == [asked["mine"].id]
    assert set(await app.job_manager.list_jobs_to_abort_async()) == {
        asked["mine"].id,
        asked["other"].id,
    }


async def test_finish_of_a_waiting_job_with_deletion_leaves_no_row(app, pool):
    job_id = await app.configure_task("t").defer_async()
    await app.job_manager.finish_job_by_id_async(job_id, jobs.Status.SUCCEEDED, True)
    assert await pool.fetchval("SELECT count(*) FROM queue.job_queue") == 0


async def test_retry_with_a_new_queue_is_served_there_and_no_longer_here(app, worker_id):
    await app.configure_task("t", queue="first").defer_async()
    taken = await app.job_manager.fetch_job(["first"], worker_id)
    again = RetryDecision(retry_in={"seconds": 0}, queue="second")
    await app.job_manager.retry_job(taken, retry_at=again.retry_at, queue=again.queue)
    assert await app.job_manager.fetch_job(["first"], worker_id) is None
    served = await app.job_manager.fetch_job(["second"], worker_id)
    assert (served.id, served.queue) == (taken.id, "second")
