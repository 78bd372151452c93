"""How runs begin and how those that fell out of the queue go on."""

import asyncio

import pytest

from db.pool import Pool
from pipeline.domain import StageName
from pipeline.errors import Rejected
from tests.integration.workers.runs import add_channel, begin, value
from workers.channels import NotFound
from workers.runs.starting import RunRequest, parse_request, start_run_once


async def test_run_has_a_video_six_steps_and_one_job(pool: Pool) -> None:
    await add_channel(pool)
    started = await begin(pool)
    steps = await pool.fetch("SELECT step_name FROM workflow_steps ORDER BY step_no")
    assert [row["step_name"] for row in steps] == list(StageName)
    job = await pool.fetchrow("SELECT id, job_type, payload FROM queue.job_queue")
    assert (job["id"], job["job_type"]) == (started.job_id, "video.trend_pick")
    assert job["payload"] == {"execution_id": str(started.execution_id)}
    assert await value(pool, "SELECT topic FROM videos WHERE id = $1", started.video_id) == "Ice"


async def test_racing_requests_with_one_key_make_one_run(pool: Pool) -> None:
    await add_channel(pool)
    started = await asyncio.gather(*(begin(pool, key="k") for _ in range(8)))
    assert len({run.execution_id for run in started}) == 1
    assert sum(run.new for run in started) == 1
    assert await value(pool, "SELECT count(*) FROM queue.job_queue") == 1
    assert await value(pool, "SELECT count(*) FROM videos") == 1


async def test_unknown_channel_is_not_found_and_leaves_nothing(pool: Pool) -> None:
    await add_channel(pool)
    with pytest.raises(NotFound, match=r"no channel 'elsewhere' \(channels: 'tests'\)"):
        await start_run_once(pool, RunRequest(channel="elsewhere"), idempotency_key=None)
    assert await value(pool, "SELECT count(*) FROM workflow_executions") == 0


async def test_paused_channel_starts_nothing(pool: Pool) -> None:
    await add_channel(pool)
    await pool.execute("UPDATE channels SET status = 'paused'")
    with pytest.raises(Rejected, match="is paused"):
        await begin(pool)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"channel": ""}, "channel"),
        ({"channel": "c", "priority": 0}, "priority"),
        ({"channel": "c", "topic": "t" * 501}, "topic"),
        ({"channel": "c", "publish_at": "2026-11-20T18:00:00"}, "publish_at"),
        ({"channel": "c", "surprise": 1}, "surprise"),
    ],
)
def test_request_with_a_wrong_field_names_it(payload: dict[str, object], said: str) -> None:
    with pytest.raises(Rejected, match=said):
        parse_request(payload)
