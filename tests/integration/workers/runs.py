"""Runs and channels for tests that speak to the database alone."""

from decimal import Decimal
from uuid import UUID

from db.pool import Pool, transaction
from db.repositories.channels import ChannelRow
from pipeline.domain import StageName
from workers.channels import NewChannel, add_local_channel
from workers.runs.starting import RunRequest, Started, enqueue_step, start_run_once


async def add_channel(pool: Pool, name: str = "tests") -> ChannelRow:
    async with transaction(pool) as connection:
        return await add_local_channel(connection, NewChannel(name=name, resolution="360p"))


async def begin(pool: Pool, *, key: str | None = None, channel: str = "tests") -> Started:
    request = RunRequest(channel=channel, topic="Ice", facts=("Ice floats.",))
    return await start_run_once(pool, request, idempotency_key=key)


async def value(pool: Pool, query: str, *arguments: object) -> object:
    return await pool.fetchval(query, *arguments)


async def status(pool: Pool, run: UUID) -> object:
    return await value(pool, "SELECT status FROM workflow_executions WHERE id = $1", run)


async def bring(
    pool: Pool, run: UUID, stage: StageName, *, status: str = "queued", step: str = "pending"
) -> UUID:
    """Bring a run to a stage as if those before it were recorded, with a job for it; the step's
    id. `status` and `step` are where the run and that step then stand."""
    async with transaction(pool) as connection:
        await connection.execute(
            "UPDATE queue.job_queue SET status = 'completed', completed_at = now()"
            " WHERE status = 'pending' AND payload->>'execution_id' = $1",
            str(run),
        )
        await connection.execute(
            "UPDATE workflow_steps s SET status = 'success', fence = 1, attempt = 1,"
            " started_at = clock_timestamp(), completed_at = clock_timestamp(),"
            """ output = '{"made": true}' FROM workflow_steps at"""
            " WHERE s.execution_id = $1 AND at.execution_id = $1 AND at.step_name = $2"
            " AND s.step_no < at.step_no",
            run,
            stage,
        )
        await enqueue_step(connection, execution_id=run, stage=stage, priority=5)
        await connection.execute(
            "UPDATE workflow_executions SET status = $2, current_step = $3,"
            " started_at = clock_timestamp(), heartbeat_at = clock_timestamp() WHERE id = $1",
            run,
            status,
            stage,
        )
        found: UUID = await connection.fetchval(
            "UPDATE workflow_steps SET status = $3, fence = 1, attempt = 1,"
            " started_at = clock_timestamp()"
            " WHERE execution_id = $1 AND step_name = $2 RETURNING id",
            run,
            stage,
            step,
        )
        return found


async def charge(pool: Pool, run: UUID, stage: StageName, amount: str) -> None:
    """Book a charge of a stage of a run."""
    await pool.execute(
        "INSERT INTO video_costs (video_id, workflow_execution_id, service, operation, amount,"
        " idempotency_key, metadata) SELECT video_id, id, 'openai', 'script.write', $3::numeric,"
        " gen_random_uuid(), jsonb_build_object('step', $2::text)"
        " FROM workflow_executions WHERE id = $1",
        run,
        stage.value,
        Decimal(amount),
    )


async def give_upload(
    pool: Pool, run: UUID, status: str, *, video: str | None = None, session: bool = True
) -> UUID:
    """An upload attempt of a run, with the account of its channel."""
    found: UUID = await pool.fetchval(
        "INSERT INTO video_uploads (video_id, execution_id, youtube_account_id, fence, marker,"
        " file_sha256, size_bytes, status, youtube_video_id, session_uri)"
        " SELECT e.video_id, e.id, ca.youtube_account_id, 1, 'yte-' || left(e.id::text, 8),"
        " repeat('0', 64), 1, $2, $3, CASE WHEN $4::boolean THEN '{}'::jsonb END"
        " FROM workflow_executions e JOIN channel_accounts ca ON ca.channel_id = e.channel_id"
        " WHERE e.id = $1 RETURNING id",
        run,
        status,
        video,
        session,
    )
    return found


async def take_job(pool: Pool, job_type: str) -> None:
    """The waiting job of this type is being run by a worker that lives."""
    await pool.execute(
        "WITH worker AS (INSERT INTO queue.job_workers (name) VALUES ('tests') RETURNING id)"
        " UPDATE queue.job_queue SET status = 'processing', started_at = clock_timestamp(),"
        " worker_id = (SELECT id FROM worker), claim = claim + 1"
        " WHERE job_type = $1 AND status = 'pending'",
        job_type,
    )
