"""Runs that fell out of the queue, or ran out of time, and what the reconciler makes of them."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from db.pool import Pool, transaction
from db.repositories.executions import Executions
from pipeline.domain import StageName
from tests.integration.workers.runs import add_channel, begin, bring, status, take_job, value
from workers.runs.reconcile import reconcile
from workers.runs.starting import approve_run

HOUR = timedelta(hours=1)


@pytest.fixture
async def run(pool: Pool) -> UUID:
    await add_channel(pool)
    return (await begin(pool)).execution_id


async def live(pool: Pool) -> list[str]:
    rows = await pool.fetch(
        "SELECT job_type FROM queue.job_queue WHERE status IN ('pending', 'processing')"
    )
    return [row["job_type"] for row in rows]


async def deadline(pool: Pool, *, before: timedelta) -> None:
    await pool.execute(
        "UPDATE workflow_executions SET deadline_at = clock_timestamp() - $1::interval", before
    )


async def rested(pool: Pool, since: timedelta) -> None:
    await pool.execute(
        "UPDATE workflow_executions SET created_at = clock_timestamp() - $1::interval,"
        " heartbeat_at = clock_timestamp() - $1::interval",
        since,
    )


async def test_run_whose_job_is_gone_gets_a_new_one(pool: Pool, run: UUID) -> None:
    assert await reconcile(pool) == 0
    await pool.execute("DELETE FROM queue.job_queue")
    assert await reconcile(pool) == 1
    assert await reconcile(pool) == 0
    payload = await value(pool, "SELECT payload->>'execution_id' FROM queue.job_queue")
    assert payload == str(run)


@pytest.mark.parametrize("state", ["pending", "queued", "running", "retrying"])
async def test_run_whose_job_was_done_without_it_gets_a_new_one(
    pool: Pool, run: UUID, state: str
) -> None:
    await bring(pool, run, StageName.VOICE, status=state, step="pending")
    await pool.execute("UPDATE queue.job_queue SET status = 'completed', completed_at = now()")
    assert await reconcile(pool) == 1
    assert await live(pool) == ["video.voice"]


async def test_run_that_waits_is_left_to_its_person(pool: Pool, run: UUID) -> None:
    await bring(pool, run, StageName.UPLOAD, status="waiting", step="waiting")
    await pool.execute("DELETE FROM queue.job_queue")
    await deadline(pool, before=HOUR)
    assert await reconcile(pool) == 0
    assert await status(pool, run) == "waiting"


async def test_new_job_of_a_run_that_retries_later_comes_no_sooner(pool: Pool, run: UUID) -> None:
    at = datetime.now(UTC) + HOUR
    await bring(pool, run, StageName.VOICE, status="retrying", step="retrying")
    await pool.execute("UPDATE workflow_executions SET next_retry_at = $1", at)
    await pool.execute("DELETE FROM queue.job_queue")
    assert await reconcile(pool) == 1
    assert await value(pool, "SELECT scheduled_for FROM queue.job_queue") == at


@pytest.mark.parametrize("end", ["failed", "aborted", "cancelled"])
async def test_run_whose_job_ended_without_it_fails_with_its_error(
    pool: Pool, run: UUID, end: str
) -> None:
    await pool.execute(
        "UPDATE queue.job_queue SET status = $1, last_error = 'killed its worker thrice',"
        " completed_at = now()",
        end,
    )
    assert await reconcile(pool) == 1
    row = await pool.fetchrow("SELECT * FROM workflow_executions")
    assert (row["status"], row["error_message"]) == (
        "failed",
        "trend_pick: killed its worker thrice",
    )
    assert row["error_details"] == {"step": "trend_pick", "class": f"job {end}"}
    assert row["completed_at"] is not None
    assert await value(pool, "SELECT status FROM videos") == "failed"
    assert await value(pool, "SELECT status FROM workflow_steps WHERE step_no = 1") == "failed"
    assert await reconcile(pool) == 0


@pytest.mark.parametrize("step", ["failed", "cancelled", "success"])
async def test_run_at_a_step_that_no_job_can_take_fails(pool: Pool, run: UUID, step: str) -> None:
    await bring(pool, run, StageName.VOICE, status="queued", step=step)
    await pool.execute("DELETE FROM queue.job_queue")
    assert await reconcile(pool) == 1
    assert await status(pool, run) == "failed"
    assert await reconcile(pool) == 0


async def test_run_past_its_deadline_ends_and_its_job_is_stopped(pool: Pool, run: UUID) -> None:
    await bring(pool, run, StageName.RENDER, status="running", step="running")
    await take_job(pool, "video.render")
    await deadline(pool, before=timedelta(seconds=-60))
    assert await reconcile(pool) == 0
    await deadline(pool, before=timedelta(0))
    assert await reconcile(pool) == 1
    row = await pool.fetchrow("SELECT * FROM workflow_executions")
    assert (row["status"], row["error_message"]) == ("timeout", "render: not done by its deadline")
    step = await pool.fetchrow("SELECT * FROM workflow_steps WHERE step_name = 'render'")
    assert (step["status"], step["fence"]) == ("failed", 2)
    assert await value(
        pool, "SELECT abort_requested FROM queue.job_queue WHERE job_type = 'video.render'"
    )
    assert await reconcile(pool) == 0


async def test_new_run_has_a_day_of_work(pool: Pool, run: UUID) -> None:
    left = await value(pool, "SELECT deadline_at - created_at FROM workflow_executions")
    assert isinstance(left, timedelta)
    assert abs(left - timedelta(hours=24)) < timedelta(seconds=5)


@pytest.mark.parametrize("state", ["queued", "retrying"])
async def test_time_at_rest_is_not_counted(pool: Pool, run: UUID, state: str) -> None:
    """A run whose deadline passes while it waits for a worker or its next try has its time left
    when it goes on; one that had none left before ends."""
    await bring(pool, run, StageName.VOICE, status=state)
    await rested(pool, 30 * HOUR)
    await deadline(pool, before=10 * HOUR)
    assert await reconcile(pool) == 0
    async with transaction(pool) as connection:
        await Executions(connection).mark_running(execution_id=run, step=StageName.VOICE)
    left = await value(pool, "SELECT deadline_at - clock_timestamp() FROM workflow_executions")
    assert isinstance(left, timedelta)
    assert abs(left - 20 * HOUR) < timedelta(seconds=5)

    await pool.execute("UPDATE workflow_executions SET status = $1", state)
    await rested(pool, HOUR)
    await deadline(pool, before=2 * HOUR)
    assert await reconcile(pool) == 1
    assert await status(pool, run) == "timeout"


async def test_time_of_a_review_is_not_counted(pool: Pool, run: UUID) -> None:
    await bring(pool, run, StageName.UPLOAD, status="waiting", step="waiting")
    await rested(pool, 100 * HOUR)
    await deadline(pool, before=90 * HOUR)
    async with transaction(pool) as connection:
        await approve_run(connection, run, approved_by="ada")
    assert await reconcile(pool) == 0
    left = await value(pool, "SELECT deadline_at - clock_timestamp() FROM workflow_executions")
    assert isinstance(left, timedelta)
    assert abs(left - 10 * HOUR) < timedelta(seconds=5)


async def test_many_reconcilers_give_one_job(pool: Pool) -> None:
    await add_channel(pool)
    for _ in range(8):
        await begin(pool)
    await pool.execute("DELETE FROM queue.job_queue")
    mended = await asyncio.gather(*(reconcile(pool) for _ in range(6)))
    assert sum(mended) == 8
    assert len(await live(pool)) == 8


async def test_run_that_another_transaction_holds_is_left_to_it(pool: Pool, run: UUID) -> None:
    """What it commits is seen by the look after the lock: no second job."""
    await pool.execute("DELETE FROM queue.job_queue")
    async with transaction(pool) as connection:
        await Executions(connection).lock(execution_id=run)
        assert await reconcile(pool) == 0
    assert await reconcile(pool) == 1
