"""What people decide about a run: cancelled, rejected, begun again."""

import asyncio
from uuid import UUID, uuid4

import pytest

from db.pool import Pool, transaction
from db.repositories.steps import Steps
from pipeline.domain import StageName
from tests.integration.workers.runs import (
    add_channel,
    begin,
    bring,
    charge,
    give_upload,
    status,
    take_job,
    value,
)
from workers.channels import NotFound
from workers.runs.control import cancel_run, reject_run
from workers.runs.overview import load_overview
from workers.runs.reconcile import reconcile
from workers.runs.retry import RetryPlan, plan_retry, retry_run
from workers.runs.starting import NotWaiting, RunConflict, approve_run
from workers.runs.upload_ending import UploadLeft

ENDED = ["success", "failed", "timeout", "cancelled"]


@pytest.fixture
async def run(pool: Pool) -> UUID:
    await add_channel(pool)
    return (await begin(pool)).execution_id


async def cancel(pool: Pool, run: UUID, reason: str | None = "no need") -> UploadLeft:
    async with transaction(pool) as connection:
        return await cancel_run(connection, run, by="ada", reason=reason)


async def retry(pool: Pool, run: UUID, from_step: StageName | None = None) -> RetryPlan:
    async with transaction(pool) as connection:
        return await retry_run(connection, run, from_step=from_step)


async def reject(pool: Pool, run: UUID, to_step: StageName | None = None) -> None:
    async with transaction(pool) as connection:
        await reject_run(connection, run, by="ada", reason="dull", to_step=to_step)


async def step(pool: Pool, run: UUID, stage: StageName) -> tuple[str, int]:
    row = await pool.fetchrow(
        "SELECT status, fence FROM workflow_steps WHERE execution_id = $1 AND step_name = $2",
        run,
        stage,
    )
    return row["status"], row["fence"]


async def live_jobs(pool: Pool) -> list[str]:
    rows = await pool.fetch(
        "SELECT job_type FROM queue.job_queue WHERE status IN ('pending', 'processing')"
        " ORDER BY seq"
    )
    return [row["job_type"] for row in rows]


async def test_cancelled_run_has_reason_duration_and_no_job(pool: Pool, run: UUID) -> None:
    await bring(pool, run, StageName.VOICE)
    await charge(pool, run, StageName.SCRIPT, "0.0125")

    assert await cancel(pool, run) is UploadLeft.NOTHING

    row = await pool.fetchrow("SELECT * FROM workflow_executions WHERE id = $1", run)
    assert (row["status"], row["error_message"]) == (
        "cancelled",
        "voice: cancelled by ada: no need",
    )
    assert row["cancel_requested_at"] is not None
    assert row["completed_at"] is not None
    assert row["duration_seconds"] >= 0
    assert float(row["cost"]) == 0.0125
    assert await step(pool, run, StageName.VOICE) == ("cancelled", 2)
    assert await step(pool, run, StageName.SCRIPT) == ("success", 1)
    assert await live_jobs(pool) == []
    video = await pool.fetchrow("SELECT status, error_message, total_cost FROM videos")
    assert video["status"] == "failed"
    assert video["error_message"] == "voice: cancelled by ada: no need"
    assert float(video["total_cost"]) == 0.0125
    assert await reconcile(pool) == 0


async def test_running_job_of_a_cancelled_run_is_asked_to_abort(pool: Pool, run: UUID) -> None:
    await bring(pool, run, StageName.RENDER, status="running", step="running")
    await take_job(pool, "video.render")
    await cancel(pool, run)
    job = await pool.fetchrow("SELECT status, abort_requested, last_error FROM queue.job_queue"
                              " WHERE job_type = 'video.render'")  # fmt: skip
    assert tuple(job) == ("processing", True, "cancelled by ada: no need")


@pytest.mark.parametrize("end", ENDED)
async def test_ended_run_cannot_be_cancelled(pool: Pool, run: UUID, end: str) -> None:
    await pool.execute("UPDATE workflow_executions SET status = $1", end)
    with pytest.raises(RunConflict, match=f"has ended already: {end}"):
        await cancel(pool, run)
    assert await status(pool, run) == end


async def test_unknown_run_is_not_found(pool: Pool, run: UUID) -> None:
    with pytest.raises(NotFound):
        await cancel(pool, uuid4())
    with pytest.raises(NotFound):
        await retry(pool, uuid4())
    with pytest.raises(NotFound):
        await reject(pool, uuid4())


async def test_cancel_and_record_never_leave_a_half(pool: Pool, run: UUID) -> None:
    """Whoever locks the run first wins: the step is recorded and the next one cancelled, or it is
    cancelled itself."""
    seen = set()
    for _ in range(12):
        started = await begin(pool)
        run = started.execution_id
        step_id = await bring(pool, run, StageName.SCRIPT, status="running", step="running")

        async def record(run: UUID = run, step_id: UUID = step_id) -> None:
            from db.repositories.executions import Executions

            async with transaction(pool) as connection:
                await Executions(connection).lock(execution_id=run)
                if not await Steps(connection).owned(step_id=step_id, fence=1):
                    return
                await Steps(connection).mark_succeeded(step_id=step_id, fence=1, output={})
                await Executions(connection).mark_advanced(
                    execution_id=run, next_step=StageName.VOICE
                )

        await asyncio.gather(record(), cancel(pool, run))
        script, voice = (
            await step(pool, run, StageName.SCRIPT),
            await step(pool, run, StageName.VOICE),
        )
        assert await status(pool, run) == "cancelled"
        seen.add((script[0], voice[0]))
    assert seen <= {("success", "cancelled"), ("cancelled", "pending")}


async def test_cancel_before_any_byte_abandons_the_upload(pool: Pool, run: UUID) -> None:
    await bring(pool, run, StageName.UPLOAD, status="running", step="running")
    await give_upload(pool, run, "reserved", session=False)
    assert await cancel(pool, run) is UploadLeft.NOTHING
    assert await value(pool, "SELECT status FROM video_uploads") == "abandoned"


async def test_cancel_of_an_upload_under_way_leaves_a_job_to_settle_it(
    pool: Pool, run: UUID
) -> None:
    await bring(pool, run, StageName.UPLOAD, status="running", step="running")
    upload = await give_upload(pool, run, "uploading")
    assert await cancel(pool, run) is UploadLeft.SETTLING
    assert await live_jobs(pool) == ["maintenance.settle_upload"]
    payload = await value(
        pool,
        "SELECT payload->>'upload_id' FROM queue.job_queue"
        " WHERE job_type = 'maintenance.settle_upload'",
    )
    assert payload == str(upload)


async def test_cancel_after_publication_leaves_the_video_published(pool: Pool, run: UUID) -> None:
    await bring(pool, run, StageName.ANALYTICS_PULL)
    await pool.execute("UPDATE videos SET status = 'published', published_at = now()")
    await give_upload(pool, run, "published", video="v1")
    assert await cancel(pool, run) is UploadLeft.PUBLISHED
    assert await value(pool, "SELECT status FROM videos") == "published"
    assert await value(pool, "SELECT status FROM video_uploads") == "published"


async def test_rejected_run_fails_with_the_reason(pool: Pool, run: UUID) -> None:
    await bring(pool, run, StageName.UPLOAD, status="waiting", step="waiting")
    await reject(pool, run)
    assert await status(pool, run) == "failed"
    assert (
        await value(pool, "SELECT error_message FROM workflow_executions")
        == "upload: rejected by ada: dull"
    )
    assert await step(pool, run, StageName.UPLOAD) == ("failed", 2)
    with pytest.raises(NotWaiting):
        await reject(pool, run)


async def test_run_rejected_to_a_step_does_it_again_and_keeps_the_reason(
    pool: Pool, run: UUID
) -> None:
    await bring(pool, run, StageName.UPLOAD, status="waiting", step="waiting")
    await pool.execute("UPDATE workflow_executions SET approved_at = now(), approved_by = 'bob'")
    await reject(pool, run, StageName.SCRIPT)

    row = await pool.fetchrow("SELECT * FROM workflow_executions")
    assert (row["status"], row["current_step"]) == ("queued", "script")
    assert (row["approved_at"], row["approved_by"]) == (None, None)
    assert (row["error_message"], row["items_processed"]) == (None, 1)
    assert await step(pool, run, StageName.TREND_PICK) == ("success", 1)
    for stage in (StageName.SCRIPT, StageName.VOICE, StageName.RENDER, StageName.UPLOAD):
        assert await step(pool, run, stage) == ("pending", 2)
    assert await live_jobs(pool) == ["video.script"]
    async with transaction(pool) as connection:
        (shown,) = (await load_overview(connection, run)).document()["rejections"]
    assert (shown["to_step"], shown["reason"], shown["by"]) == ("script", "dull", "ada")
    kept = await value(
        pool, "SELECT input->'rejections'->0->>'reason' FROM workflow_steps"
        " WHERE step_name = 'script'"
    )  # fmt: skip
    assert kept == "dull"


async def test_run_goes_back_only_to_a_step_before(pool: Pool, run: UUID) -> None:
    await bring(pool, run, StageName.UPLOAD, status="waiting", step="waiting")
    for stage in (StageName.UPLOAD, StageName.ANALYTICS_PULL):
        with pytest.raises(RunConflict, match="a step before"):
            await reject(pool, run, stage)
    assert await status(pool, run) == "waiting"


async def test_failed_run_goes_on_from_where_it_failed(pool: Pool, run: UUID) -> None:
    await bring(pool, run, StageName.RENDER, status="failed", step="failed")
    await pool.execute("UPDATE videos SET status = 'failed', error_message = 'no'")
    await charge(pool, run, StageName.SCRIPT, "0.01")

    plan = await retry(pool, run)

    assert plan.from_step is StageName.RENDER
    assert plan.kept == ["trend_pick", "script", "voice"]
    assert plan.again == ["render"]
    assert plan.estimate == 0
    row = await pool.fetchrow("SELECT * FROM workflow_executions")
    assert (row["status"], row["current_step"], row["items_processed"]) == ("queued", "render", 3)
    assert (row["completed_at"], row["duration_seconds"], row["error_message"]) == (None,) * 3
    assert await step(pool, run, StageName.VOICE) == ("success", 1)
    assert await step(pool, run, StageName.RENDER) == ("pending", 2)
    assert await live_jobs(pool) == ["video.render"]
    assert await value(pool, "SELECT status FROM videos") == "processing"
    with pytest.raises(RunConflict, match="cancel it first"):
        await retry(pool, run)


async def test_plan_tells_what_is_paid_again_and_changes_nothing(pool: Pool, run: UUID) -> None:
    await bring(pool, run, StageName.RENDER, status="failed", step="failed")
    await charge(pool, run, StageName.SCRIPT, "0.010000")
    await charge(pool, run, StageName.VOICE, "0.200000")
    # An earlier passage of the same step is no part of what the next one will cost.
    await pool.execute(
        "UPDATE video_costs SET created_at = now() - interval '1 hour'"
        " WHERE metadata->>'step' = 'voice'"
    )
    await charge(pool, run, StageName.VOICE, "0.030000")
    async with transaction(pool) as connection:
        plan = await plan_retry(connection, run, from_step=StageName.SCRIPT)
    assert plan.again == ["script", "voice", "render"]
    assert [(c.step_name, str(c.amount)) for c in plan.paid_again] == [
        ("script", "0.010000"),
        ("voice", "0.030000"),
    ]
    assert str(plan.estimate) == "0.040000"
    assert await status(pool, run) == "failed"
    assert await step(pool, run, StageName.SCRIPT) == ("success", 1)


@pytest.mark.parametrize("end", ["failed", "cancelled", "timeout", "waiting", "retrying"])
async def test_run_that_ended_or_rests_may_be_retried(pool: Pool, run: UUID, end: str) -> None:
    await bring(pool, run, StageName.VOICE, status=end, step="retrying")
    await retry(pool, run)
    assert await status(pool, run) == "queued"
    assert await live_jobs(pool) == ["video.voice"]


@pytest.mark.parametrize("state", ["queued", "running", "pending", "success"])
async def test_run_at_work_or_done_is_not_retried(pool: Pool, run: UUID, state: str) -> None:
    await bring(pool, run, StageName.VOICE, status=state)
    with pytest.raises(RunConflict):
        await retry(pool, run)
    assert await status(pool, run) == state


async def test_step_that_was_not_come_to_is_refused(pool: Pool, run: UUID) -> None:
    await bring(pool, run, StageName.VOICE, status="failed", step="failed")
    with pytest.raises(RunConflict, match="has not come to upload"):
        await retry(pool, run, StageName.UPLOAD)


@pytest.mark.parametrize("state", ["uploading", "unknown", "uploaded", "published"])
async def test_film_that_may_be_at_its_host_gets_no_second(
    pool: Pool, run: UUID, state: str
) -> None:
    await bring(pool, run, StageName.UPLOAD, status="failed", step="failed")
    await give_upload(pool, run, state, video="v1" if state in ("uploaded", "published") else None)
    for stage in (StageName.SCRIPT, StageName.RENDER):
        with pytest.raises(RunConflict, match="--from-step upload"):
            await retry(pool, run, stage)
    await pool.execute("UPDATE workflow_executions SET approved_at = now(), approved_by = 'bob'")
    await retry(pool, run, StageName.UPLOAD)
    assert await live_jobs(pool) == ["video.upload"]
    assert await value(pool, "SELECT status FROM video_uploads") == state
    assert await value(pool, "SELECT approved_by FROM workflow_executions") == "bob"


async def test_upload_of_which_nothing_was_sent_gives_way_to_another_film(
    pool: Pool, run: UUID
) -> None:
    await bring(pool, run, StageName.UPLOAD, status="failed", step="failed")
    await give_upload(pool, run, "reserved", session=False)
    await retry(pool, run, StageName.RENDER)
    assert await value(pool, "SELECT status FROM video_uploads") == "abandoned"


async def test_retry_recalls_the_job_that_would_settle_its_upload(pool: Pool, run: UUID) -> None:
    await bring(pool, run, StageName.UPLOAD, status="running", step="running")
    await give_upload(pool, run, "uploading")
    await cancel(pool, run)
    await retry(pool, run)
    assert await live_jobs(pool) == ["video.upload"]


async def test_retry_waits_for_the_upload_that_is_being_settled(pool: Pool, run: UUID) -> None:
    await bring(pool, run, StageName.UPLOAD, status="running", step="running")
    await give_upload(pool, run, "uploading")
    await cancel(pool, run)
    await take_job(pool, "maintenance.settle_upload")
    with pytest.raises(RunConflict, match="in a moment"):
        await retry(pool, run)
    assert await status(pool, run) == "cancelled"


async def test_video_has_one_active_run(pool: Pool, run: UUID) -> None:
    await bring(pool, run, StageName.VOICE, status="failed", step="failed")
    other = (await begin(pool)).execution_id
    await pool.execute(
        "UPDATE workflow_executions SET video_id ="
        " (SELECT video_id FROM workflow_executions WHERE id = $1) WHERE id = $2",
        run,
        other,
    )
    with pytest.raises(RunConflict, match="another run makes the video"):
        await retry(pool, run)
    assert await status(pool, run) == "failed"


async def test_racing_decisions_have_one_winner(pool: Pool, run: UUID) -> None:
    await bring(pool, run, StageName.UPLOAD, status="waiting", step="waiting")

    async def approve() -> None:
        async with transaction(pool) as connection:
            await approve_run(connection, run, approved_by="ada")

    done = await asyncio.gather(
        approve(), reject(pool, run), reject(pool, run), approve(), return_exceptions=True
    )
    assert sum(result is None for result in done) == 1
    assert sum(isinstance(result, NotWaiting) for result in done) == 3
