"""`run start --dry-run`: what would be made, and nothing is."""

from pathlib import Path
from uuid import uuid4

import pytest

from db.pool import Pool
from pipeline.domain import Topic
from pipeline.errors import Rejected
from tests.integration.workers.runs import add_channel, begin
from workers.channels import NotFound
from workers.runs.plan import plan_run
from workers.runs.starting import RunRequest
from workers.settings import Settings
from workers.topics import import_topics

TABLES = ("workflow_executions", "workflow_steps", "videos", "queue.job_queue")


async def counts(pool: Pool) -> list[int]:
    return [await pool.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_env({"YTEMPIRE_DATA_DIR": str(tmp_path)})


async def test_plan_tells_what_would_be_made_and_makes_nothing(
    pool: Pool, settings: Settings
) -> None:
    await add_channel(pool)
    await import_topics(pool, [Topic("The Moon", ("It is far.",)), Topic("Ice", ("It floats.",))])
    started = await begin(pool, key="k")
    await pool.execute("UPDATE workflow_executions SET status = 'success', cost = 0.25")
    before = await counts(pool)
    plan = await plan_run(pool, settings, RunRequest(channel="tests"), idempotency_key=None)
    assert plan.document() | {"channel": plan.channel.name, "trend_id": None} == {
        "dry_run": True, "channel": "tests", "topic": "The Moon", "facts": ["It is far."],
        "trend_id": None, "publish_at": None, "waits_for_approval": False,
        "script_provider": "local", "voice_provider": "local", "host_provider": "local",
        "usual_cost": 0.25, "execution_id": None,
    }  # fmt: skip
    repeat = await plan_run(pool, settings, RunRequest(channel="tests"), idempotency_key="k")
    assert repeat.known_run == started.execution_id
    own = RunRequest(channel="tests", topic="Rain", facts=("Rain falls.",))
    assert (await plan_run(pool, settings, own, idempotency_key=None)).topic.topic == "Rain"
    assert await counts(pool) == before
    assert await pool.fetchval("SELECT count(*) FROM trends WHERE status = 'used'") == 0


async def test_plan_refuses_what_a_start_would_refuse(pool: Pool, settings: Settings) -> None:
    await add_channel(pool)

    async def plan(**fields: object) -> None:
        request = RunRequest.model_validate({"channel": "tests", **fields})
        await plan_run(pool, settings, request, idempotency_key=None)

    with pytest.raises(NotFound, match="nowhere"):
        await plan(channel="nowhere")
    with pytest.raises(NotFound, match="no trend"):
        await plan(trend_id=uuid4())
    with pytest.raises(Rejected, match="nothing to make a video about"):
        await plan()
    await pool.execute("UPDATE channels SET status = 'paused'")
    with pytest.raises(Rejected, match="paused"):
        await plan(topic="Rain")
    assert await counts(pool) == [0, 0, 0, 0]
