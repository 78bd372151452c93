"""What is announced of a run, to whom, and in which transaction."""

from typing import Any
from uuid import UUID

import pytest

from db.pool import Pool, transaction
from db.repositories.executions import Executions
from pipeline.domain import ExecutionStatus
from tests.integration.workers.runs import add_channel, begin
from workers.callbacks.announcing import announce_run, announce_video
from workers.runs.control import cancel_run
from workers.runs.reconcile import reconcile
from workers.runs.starting import approve_run

CALLBACK = "https://n8n.example.com/webhook-waiting/231?token=4f1c%2F"


async def run_of(pool: Pool, callback_url: str | None = CALLBACK) -> UUID:
    await add_channel(pool)
    run = (await begin(pool)).execution_id
    await pool.execute(
        "UPDATE workflow_executions SET callback_url = $1, execution_id = '231'", callback_url
    )
    return run


async def become(pool: Pool, run: UUID, status: str, **columns: str) -> None:
    """Give the run a status and announce it, as every writer of a status does."""
    sets = "".join(f", {name} = {text}" for name, text in columns.items())
    async with transaction(pool) as connection:
        await connection.execute(
            f"UPDATE workflow_executions SET status = $2{sets} WHERE id = $1", run, status
        )
        await announce_run(connection, execution_id=run)


async def told(pool: Pool) -> list[tuple[Any, ...]]:
    rows = await pool.fetch(
        "SELECT recipient, event, occurrence, callback_url FROM webhook_deliveries"
        " ORDER BY created_at, recipient DESC"
    )
    return [tuple(row) for row in rows]


@pytest.mark.parametrize(
    ("status", "event", "alerts"),
    [
        ("success", "run.completed", False),
        ("failed", "run.failed", True),
        ("timeout", "run.failed", True),
        ("cancelled", "run.cancelled", False),
        ("waiting", "run.waiting", True),
    ],
)
async def test_change_is_announced_to_those_it_concerns(
    pool: Pool, status: str, event: str, alerts: bool
) -> None:
    run = await run_of(pool)
    await become(pool, run, status)
    expected = [("run", event, 1, CALLBACK)]
    if alerts:
        expected.append(("alert", event, 1, None))  # type: ignore[arg-type]
    assert await told(pool) == expected
    jobs = await pool.fetch(
        "SELECT j.payload->>'delivery_id' AS id, j.queue_name, d.job_id = j.id AS linked"
        " FROM queue.job_queue j"
        " JOIN webhook_deliveries d ON d.id::text = j.payload->>'delivery_id'"
        " WHERE j.job_type = 'callback.deliver'"
    )
    assert [(job["queue_name"], job["linked"]) for job in jobs] == [("default", True)] * len(
        expected
    )


async def test_body_has_the_shape_of_the_contract(pool: Pool) -> None:
    run = await run_of(pool)
    await become(pool, run, "failed", error_message="'voice: no such voice'", cost="0.012345")
    body = await pool.fetchval("SELECT body FROM webhook_deliveries WHERE recipient = 'run'")
    assert set(body) == {"type", "timestamp", "data"}
    assert body["type"] == "run.failed"
    assert body["timestamp"].endswith("Z")
    data = body["data"]
    assert data["execution_id"] == str(run)
    assert (data["n8n_execution_id"], data["status"]) == ("231", "failed")
    assert data["video"]["title"] == "Ice"
    assert data["cost"] == {"total": 0.012345, "by_service": {}}
    assert data["error"] == "voice: no such voice"


async def test_quiet_statuses_announce_nothing(pool: Pool) -> None:
    run = await run_of(pool)
    await become(pool, run, "running")
    await become(pool, run, "queued")
    await become(pool, run, "retrying", next_retry_at="now() + interval '4 minutes'")
    assert await told(pool) == []


async def test_long_pause_is_deferred_and_says_until_when(pool: Pool) -> None:
    run = await run_of(pool)
    await become(pool, run, "retrying", next_retry_at="'2031-01-02T08:00:00Z'")
    assert await told(pool) == [("run", "run.deferred", 1, CALLBACK)]
    body = await pool.fetchval("SELECT body FROM webhook_deliveries")
    assert body["data"]["next_retry_at"] == "2031-01-02T08:00:00Z"


async def test_repeats_are_counted_a_kind(pool: Pool) -> None:
    run = await run_of(pool)
    await become(pool, run, "waiting")
    async with transaction(pool) as connection:
        await approve_run(connection, run, approved_by="tests")
    await become(pool, run, "waiting")
    await become(pool, run, "success")
    assert [row for row in await told(pool) if row[0] == "run"] == [
        ("run", "run.waiting", 1, CALLBACK),
        ("run", "run.waiting", 2, CALLBACK),
        ("run", "run.completed", 1, CALLBACK),
    ]


async def test_run_without_callback_is_silent_unless_a_person_should_know(pool: Pool) -> None:
    run = await run_of(pool, callback_url=None)
    await become(pool, run, "success")
    assert await told(pool) == []
    await become(pool, run, "failed")
    assert await told(pool) == [("alert", "run.failed", 1, None)]


async def test_rolled_back_change_announces_nothing(pool: Pool) -> None:
    run = await run_of(pool)

    async def announce_and_die() -> None:
        async with transaction(pool) as connection:
            await Executions(connection).mark_succeeded(execution_id=run, output_data={})
            await announce_run(connection, execution_id=run)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await announce_and_die()
    assert await told(pool) == []
    assert await pool.fetchval("SELECT count(*) FROM queue.job_queue") == 1


async def test_error_without_end_leaves_the_body_small(pool: Pool) -> None:
    run = await run_of(pool)
    await become(pool, run, "failed", error_message="repeat('€', 100000)")
    size = await pool.fetchval("SELECT max(octet_length(body::text)) FROM webhook_deliveries")
    assert size < 20_000


async def test_run_that_the_sweep_fails_is_announced(pool: Pool) -> None:
    await run_of(pool)
    await pool.execute("UPDATE queue.job_queue SET status = 'failed', last_error = 'crashed'")
    assert await reconcile(pool) == 1
    assert ("run", "run.failed", 1, CALLBACK) in await told(pool)


async def test_alert_of_a_video_carries_its_problem_and_the_runs_status(pool: Pool) -> None:
    run = await run_of(pool)
    await become(pool, run, ExecutionStatus.SUCCESS)
    video = await pool.fetchval("SELECT video_id FROM workflow_executions")
    async with transaction(pool) as connection:
        await announce_video(connection, video_id=video, problem="rejected: duplicate")
    rows = await pool.fetch(
        "SELECT recipient, body FROM webhook_deliveries WHERE event = 'video.alert'"
    )
    assert {row["recipient"] for row in rows} == {"run", "alert"}
    assert {row["body"]["data"]["error"] for row in rows} == {"rejected: duplicate"}
    assert {row["body"]["data"]["status"] for row in rows} == {"success"}


async def test_run_that_a_person_cancels_is_announced_once(pool: Pool) -> None:
    run = await run_of(pool)
    async with transaction(pool) as connection:
        await cancel_run(connection, run, by="tests", reason="a mistake")
    assert await told(pool) == [("run", "run.cancelled", 1, CALLBACK)]
    async with transaction(pool) as connection:
        error = await connection.fetchval("SELECT body->'data'->>'error' FROM webhook_deliveries")
    assert "a mistake" in error


async def test_run_that_is_ended_from_outside_its_stages_is_announced(pool: Pool) -> None:
    run = await run_of(pool)
    async with transaction(pool) as connection:
        await cancel_run(connection, run, by="ada", reason="no need")
    assert await told(pool) == [("run", "run.cancelled", 1, CALLBACK)]
    await pool.execute("DELETE FROM webhook_deliveries")

    other = (await begin(pool)).execution_id
    await pool.execute(
        "UPDATE workflow_executions SET deadline_at = '2020-01-01', callback_url = $2"
        " WHERE id = $1",
        other,
        CALLBACK,
    )
    assert await reconcile(pool) == 1
    assert ("run", "run.failed", 1, CALLBACK) in await told(pool)
