"""What the doctor tells of runs that do not go on, and of videos that nobody publishes."""

from uuid import UUID

import pytest

from db.pool import Pool, transaction
from db.repositories.findings import Findings, Orphan
from pipeline.domain import StageName
from tests.integration.workers.runs import add_channel, begin, bring, give_upload, take_job
from workers.doctor.finding import Examined, Level
from workers.doctor.runs import Stuck, list_stuck, runs
from workers.settings import Settings

AN_HOUR = "clock_timestamp() - interval '1 hour'"
NOT_TAKEN = f"UPDATE queue.job_queue SET scheduled_for = {AN_HOUR}, updated_at = {AN_HOUR};"
PAUSED = "INSERT INTO queue.queue_state (queue_name, paused_at) VALUES ('render', now())"


@pytest.fixture
async def run(pool: Pool) -> UUID:
    await add_channel(pool)
    run = (await begin(pool)).execution_id
    await bring(pool, run, StageName.RENDER)
    return run


async def stuck(pool: Pool) -> list[Stuck]:
    async with transaction(pool) as connection:
        return await list_stuck(connection)


async def orphans(pool: Pool) -> list[Orphan]:
    async with transaction(pool) as connection:
        return await Findings(connection).list_orphans()


async def test_run_on_its_way_is_not_stuck(pool: Pool, run: UUID) -> None:
    assert await stuck(pool) == []
    await take_job(pool, "video.render")
    assert await stuck(pool) == []
    (finding,) = await runs(Examined(Settings.from_env({}), "", pool))
    assert finding.level is Level.OK


@pytest.mark.parametrize(
    ("change", "reason", "command"),
    [
        ("DELETE FROM queue.job_queue", "has no job", "worker --until-idle"),
        (
            "UPDATE queue.job_queue SET status = 'failed', completed_at = now()",
            "its job is failed",
            "worker --until-idle",
        ),
        (
            "UPDATE workflow_executions SET deadline_at = '2020-01-01'",
            "past its deadline",
            "worker --until-idle",
        ),
        (
            NOT_TAKEN,
            "no worker takes its job from queue render",
            "worker --queues render",
        ),
        (
            NOT_TAKEN + PAUSED,
            "queue render is paused",
            "queue resume render",
        ),
        (
            "UPDATE workflow_executions SET status = 'waiting', error_message = 'render: no space'",
            "render: no space",
            "run retry {run}",
        ),
    ],
)
async def test_stuck_run_has_a_reason_and_a_command(
    pool: Pool, run: UUID, change: str, reason: str, command: str
) -> None:
    await pool.execute(change)
    (found,) = await stuck(pool)
    assert (found.execution_id, found.step) == (run, "render")
    assert reason in found.reason
    assert found.command == f"ytempire {command.format(run=run)}"
    findings = await runs(Examined(Settings.from_env({}), "", pool))
    assert [(f.level, f.command) for f in findings] == [(Level.WARNING, found.command)]
    assert reason in findings[0].message


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE queue.job_workers SET stopped_at = now()", "the worker of its job is gone"),
        (
            f"UPDATE workflow_executions SET heartbeat_at = {AN_HOUR} - interval '1 minute'",
            "shows no progress",
        ),
    ],
)
async def test_run_at_work_is_stuck_without_worker_or_progress(
    pool: Pool, run: UUID, change: str, reason: str
) -> None:
    await bring(pool, run, StageName.RENDER, status="running", step="running")
    await take_job(pool, "video.render")
    assert await stuck(pool) == []
    await pool.execute(change)
    (found,) = await stuck(pool)
    assert reason in found.reason


async def test_review_is_answered_by_an_approval(pool: Pool, run: UUID) -> None:
    await bring(pool, run, StageName.UPLOAD, status="waiting", step="waiting")
    await pool.execute("UPDATE channels SET auto_publish = false")
    (found,) = await stuck(pool)
    assert found.command == f"ytempire run approve {run}"


@pytest.mark.parametrize("end", ["cancelled", "failed", "timeout"])
async def test_uploaded_video_of_an_ended_run_is_an_orphan(pool: Pool, run: UUID, end: str) -> None:
    await give_upload(pool, run, "uploaded", video="v1")
    assert await orphans(pool) == []
    await pool.execute("UPDATE workflow_executions SET status = $1", end)
    (found,) = await orphans(pool)
    assert (found.execution_id, found.host_video_id, found.status) == (run, "v1", "uploaded")


async def test_upload_that_could_not_be_settled_is_an_orphan_after_a_while(
    pool: Pool, run: UUID
) -> None:
    await give_upload(pool, run, "uploading")
    await pool.execute("UPDATE workflow_executions SET status = 'cancelled'")
    assert await orphans(pool) == []
    await pool.execute("ALTER TABLE video_uploads DISABLE TRIGGER trg_video_uploads_updated_at")
    await pool.execute(f"UPDATE video_uploads SET updated_at = {AN_HOUR}")
    (found,) = await orphans(pool)
    assert found.host_video_id is None
    assert found.marker.startswith("yte-")
