"""What users of Procrastinate rely on: finishing, retrying, cancelling, aborting, deleting."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from procrastinate import RetryDecision, exceptions, jobs, utils
from procrastinate.retry import BaseRetryStrategy

from tests.services.queue_fixtures import eventually


@pytest.fixture
async def worker_id(app):
    worker_id = await app.job_manager.register_worker()
    yield worker_id
    await app.job_manager.unregister_worker(worker_id)


@pytest.fixture
def running(app, worker_id):
    """A job that was deferred with these options and fetched."""

    async def running(**options):
        await app.configure_task("t", **options).defer_async()
        return await app.job_manager.fetch_job(None, worker_id)

    return running


ENDS = [
    (jobs.Status.SUCCEEDED, "completed"),
    (jobs.Status.FAILED, "failed"),
    (jobs.Status.ABORTED, "aborted"),
]


@pytest.mark.parametrize(("status", "ours"), ENDS)
async def test_finish_counts_an_attempt_and_clears_the_abort(app, running, job, status, ours):
    taken = await running()
    await app.job_manager.cancel_job_by_id_async(taken.id, abort=True)
    await app.job_manager.finish_job(taken, status, False)
    row = await job(taken.id)
    assert (row["status"], row["attempts"], row["abort_requested"]) == (ours, 1, False)
    assert (row["last_error"] is None) == (ours == "completed")


@pytest.mark.parametrize(("status", "ours"), ENDS)
async def test_finish_by_id_of_a_waiting_job_counts_no_attempt(app, job, status, ours):
    job_id = await app.configure_task("t").defer_async()
    await app.job_manager.finish_job_by_id_async(job_id, status, False)
    row = await job(job_id)
    assert (row["status"], row["attempts"]) == (ours, 0)


@pytest.mark.parametrize("status", [jobs.Status.TODO, jobs.Status.DOING, jobs.Status.CANCELLED])
async def test_other_ends_are_refused(app, running, job, status):
    taken = await running()
    before = await job(taken.id)
    with pytest.raises(exceptions.ConnectorException):
        await app.job_manager.finish_job_by_id_async(taken.id, status, False)
    assert await job(taken.id) == before


async def test_finish_of_an_ended_job_changes_nothing(app, running, job):
    taken = await running()
    await app.job_manager.finish_job(taken, jobs.Status.FAILED, False)
    before = await job(taken.id)
    with pytest.raises(exceptions.ConnectorException):
        await app.job_manager.finish_job_by_id_async(taken.id, jobs.Status.SUCCEEDED, False)
    assert await job(taken.id) == before


@pytest.mark.parametrize(
    ("mode", "kept"), [("never", {"good", "bad"}), ("successful", {"bad"}), ("always", set())]
)
async def test_deletion_modes_of_a_worker(app, pool, workers, mode, kept):
    @app.task(name="good")
    async def good():
        pass

    @app.task(name="bad")
    async def bad():
        raise ValueError

    await good.defer_async()
    await bad.defer_async()
    cancelled = await good.configure(schedule_in={"hours": 1}).defer_async()
    await app.job_manager.cancel_job_by_id_async(cancelled)
    await app.run_worker_async(wait=False, delete_jobs=mode, install_signal_handlers=False)
    rows = await pool.fetch(
        "SELECT job_type FROM queue.job_queue WHERE status <> 'cancelled' ORDER BY 1"
    )
    assert {row["job_type"] for row in rows} == kept
    assert await pool.fetchval("SELECT status FROM queue.job_queue WHERE id = $1", cancelled)


async def test_retries_are_not_deleted(app, pool):
    @app.task(name="flaky", retry=1)
    async def flaky():
        raise ValueError

    await flaky.defer_async()
    await app.run_worker_async(wait=False, delete_jobs="successful", install_signal_handlers=False)
    row = await pool.fetchrow("SELECT status, attempts FROM queue.job_queue")
    assert tuple(row) == ("failed", 2)


async def test_retry_changes_only_what_it_names(app, running, job):
    taken = await running(priority=2, queue="a", lock="l")
    moment = utils.utcnow() + timedelta(hours=1)
    await app.job_manager.retry_job(taken, retry_at=moment)
    row = await job(taken.id)
    assert (row["status"], row["attempts"]) == ("pending", 1)
    assert (row["priority"], row["queue_name"], row["lock"]) == (3, "a", "l")
    assert abs(row["next_retry_at"] - moment) < timedelta(seconds=20)
    (listed,) = await app.job_manager.list_jobs_async(id=taken.id)
    assert listed.scheduled_at == row["next_retry_at"]


async def test_retry_takes_new_priority_queue_and_lock(app, running, job):
    taken = await running()
    await app.job_manager.retry_job(taken, priority=3, queue="b", lock="m")
    row = await job(taken.id)
    assert (row["priority"], row["queue_name"], row["lock"]) == (2, "b", "m")


async def test_hand_retry_of_a_failed_job_puts_it_back(app, running, job):
    taken = await running()
    await app.job_manager.finish_job(taken, jobs.Status.FAILED, False)
    await app.job_manager.retry_job_by_id_async(taken.id, retry_at=utils.utcnow(), priority=1)
    row = await job(taken.id)
    assert (row["status"], row["attempts"], row["priority"]) == ("pending", 2, 4)
    assert row["completed_at"] is None


@pytest.mark.parametrize("status", ["pending", "completed", "cancelled", "aborted"])
async def test_retry_of_any_other_state_is_refused(app, pool, job, status):
    job_id = await app.configure_task("t").defer_async()
    await pool.execute("UPDATE queue.job_queue SET status = $1", status)
    before = await job(job_id)
    with pytest.raises(exceptions.ConnectorException):
        await app.job_manager.retry_job_by_id_async(job_id, retry_at=utils.utcnow())
    assert await job(job_id) == before


async def test_retry_of_a_job_to_be_aborted_fails_it(app, running, job):
    taken = await running()
    await app.job_manager.cancel_job_by_id_async(taken.id, abort=True)
    await app.job_manager.retry_job(taken, retry_at=None)
    row = await job(taken.id)
    assert (row["status"], row["attempts"]) == ("failed", 0)


class Recording(BaseRetryStrategy):
    def __init__(self):
        self.seen = []

    def get_retry_decision(self, *, exception, job):
        self.seen.append(job.attempts)
        return RetryDecision() if len(self.seen) < 4 else None


async def test_strategy_sees_finished_attempts_and_alone_decides(app, workers):
    strategy = Recording()

    @app.task(name="flaky", retry=strategy)
    async def flaky():
        raise ValueError

    await flaky.defer_async()
    await workers.drain()
    assert strategy.seen == [0, 1, 2, 3]


async def test_retry_ten_means_eleven_runs(app, workers, job):
    runs = []

    @app.task(name="flaky", retry=10)
    async def flaky():
        runs.append(1)
        raise ValueError

    job_id = await flaky.defer_async()
    await workers.drain()
    assert len(runs) == 11
    assert (await job(job_id))["max_attempts"] is None


async def test_lost_claim_finishes_and_retries_nothing(app, running, pool, job):
    """The row went on to another run, even of the same worker: the first run changes nothing."""
    for end in (
        lambda taken: app.job_manager.finish_job(taken, jobs.Status.SUCCEEDED, False),
        lambda taken: app.job_manager.finish_job(taken, jobs.Status.FAILED, True),
        lambda taken: app.job_manager.retry_job(taken, retry_at=None),
    ):
        taken = await running()
        await pool.execute("UPDATE queue.job_queue SET status = 'pending' WHERE id = $1", taken.id)
        again = await app.job_manager.fetch_job(None, taken.worker_id)
        assert again.id == taken.id
        before = await job(taken.id)
        await end(taken)
        assert await job(taken.id) == before
        await app.job_manager.finish_job(again, jobs.Status.SUCCEEDED, False)
        assert (await job(taken.id))["status"] == "completed"


async def test_cancel_of_a_waiting_job(app, job):
    job_id = await app.configure_task("t").defer_async()
    assert await app.job_manager.cancel_job_by_id_async(job_id)
    assert (await job(job_id))["status"] == "cancelled"
    assert not await app.job_manager.cancel_job_by_id_async(job_id)
    assert not await app.job_manager.cancel_job_by_id_async(job_id, abort=True)


async def test_cancel_can_delete_a_waiting_job_but_never_a_running_one(app, running, job):
    waiting = await app.configure_task("t", schedule_in={"hours": 1}).defer_async()
    assert await app.job_manager.cancel_job_by_id_async(waiting, delete_job=True)
    assert await job(waiting) is None
    taken = await running()
    assert not await app.job_manager.cancel_job_by_id_async(taken.id)
    assert await app.job_manager.cancel_job_by_id_async(taken.id, abort=True, delete_job=True)
    row = await job(taken.id)
    assert (row["status"], row["abort_requested"]) == ("processing", True)


@pytest.mark.parametrize("listening", [True, False])
async def test_abort_cancels_a_running_async_task(app, pool, job, listening):
    started = asyncio.Event()

    @app.task(name="long")
    async def long():
        started.set()
        await asyncio.sleep(600)

    job_id = await long.defer_async()
    worker = asyncio.create_task(
        app.run_worker_async(
            listen_notify=listening,
            abort_job_polling_interval=600 if listening else 0.1,
            install_signal_handlers=False,
        )
    )
    await started.wait()
    assert await app.job_manager.cancel_job_by_id_async(job_id, abort=True)
    await eventually(
        lambda: pool.fetchval(
            "SELECT status = 'aborted' FROM queue.job_queue WHERE id = $1", job_id
        )
    )
    assert (await job(job_id))["last_error"] == "aborted on request"
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)


async def test_sync_task_sees_that_it_should_abort(app, workers, pool):
    import threading
    import time

    started = threading.Event()

    @app.task(name="long", pass_context=True)
    def long(context):
        started.set()
        while not context.should_abort():
            time.sleep(0.01)
        raise exceptions.JobAborted

    job_id = await long.defer_async()
    workers.start()
    await asyncio.to_thread(started.wait, 30)
    assert await app.job_manager.cancel_job_by_id_async(job_id, abort=True)
    await eventually(
        lambda: pool.fetchval(
            "SELECT status = 'aborted' FROM queue.job_queue WHERE id = $1", job_id
        )
    )


async def test_shutdown_of_a_plain_worker_aborts_what_outlasts_the_grace(app, job):
    """Through Procrastinate's own run_worker_async; ours gives such jobs back instead."""
    started = asyncio.Event()

    @app.task(name="long")
    async def long():
        started.set()
        await asyncio.sleep(600)

    job_id = await long.defer_async()
    worker = asyncio.create_task(
        app.run_worker_async(shutdown_graceful_timeout=0.05, install_signal_handlers=False)
    )
    await started.wait()
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    row = await job(job_id)
    assert (row["status"], row["attempts"]) == ("aborted", 1)


async def test_person_cancelling_a_running_row_wins_over_its_finish(app, running, pool, job):
    taken = await running()
    await pool.execute("UPDATE queue.job_queue SET status = 'cancelled' WHERE id = $1", taken.id)
    before = await job(taken.id)
    await app.job_manager.finish_job(taken, jobs.Status.SUCCEEDED, False)
    assert await job(taken.id) == before


OLD = datetime(2001, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("switch", ["failed", "cancelled", "aborted", None])
async def test_old_jobs_are_deleted_each_by_its_switch(app, pool, switch):
    for status in ("completed", "failed", "cancelled", "aborted"):
        for age in (OLD, utils.utcnow()):
            await pool.execute(
                """INSERT INTO queue.job_queue (job_type, status, completed_at, created_at)
                   VALUES ('t', $1, $2, $3)""",
                status,
                age,
                OLD,
            )
    options = {f"include_{switch}": True} if switch else {}
    await app.job_manager.delete_old_jobs(nb_hours=1, **options)
    rows = await pool.fetch("SELECT status FROM queue.job_queue WHERE completed_at = $1", OLD)
    assert {row["status"] for row in rows} == {"failed", "cancelled", "aborted"} - {switch}
    assert await pool.fetchval("SELECT count(*) FROM queue.job_queue WHERE completed_at > $1", OLD)


async def test_live_jobs_are_never_deleted_as_old(app, running, pool):
    await running()
    await app.configure_task("t", queue="other").defer_async()
    await pool.execute("UPDATE queue.job_queue SET created_at = $1, updated_at = $1", OLD)
    await app.job_manager.delete_old_jobs(
        nb_hours=0, include_failed=True, include_cancelled=True, include_aborted=True
    )
    assert await pool.fetchval("SELECT count(*) FROM queue.job_queue") == 2


async def is_aborted(pool, job_id):
    return await pool.fetchval("SELECT status FROM queue.job_queue WHERE id = $1", job_id) == (
        "aborted"
    )
