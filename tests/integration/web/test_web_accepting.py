"""The short way to accept a run leaves what the long way leaves, and never decides by memory."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from db.pool import Pool
from tests.integration.web.conftest import Service, run_body
from tests.services.web import key_of, problem

# What differs between any two runs.
OWN = {
    "id", "execution_id", "video_id", "job_id", "workflow_execution_id", "created_at", "updated_at",
    "queued_at", "deadline_at", "seq", "request_hash", "response_body", "idempotency_key",
    "payload",
}  # fmt: skip
FULL = {
    "publish_at": "2027-01-02T03:04:05Z",
    "priority": 3,
    "callback_url": "https://n8n.example.com/webhook-waiting/7?token=a%2Fb",
    "execution_id": "n8n-7",
}


async def start(client: httpx.AsyncClient, **headers: str) -> Any:
    answer = await client.post("/v1/runs", content=run_body(**FULL), headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.json()


async def rows(pool: Pool, accepted: Any, key: str) -> dict[str, list[dict[str, Any]]]:
    """Everything a run consists of, short of its own ids and times."""
    run, video, job = (UUID(accepted[f"{name}_id"]) for name in ("execution", "video", "job"))
    found = {
        "run": ("workflow_executions WHERE id = $1", run),
        "steps": ("workflow_steps WHERE execution_id = $1 ORDER BY step_no", run),
        "video": ("videos WHERE id = $1", video),
        "job": ("queue.job_queue WHERE id = $1", job),
        "receipt": ("webhook_receipts WHERE idempotency_key = $1", key),
    }
    shown = {}
    for name, (where, argument) in found.items():
        records = await pool.fetch(f"SELECT * FROM {where}", argument)
        shown[name] = [
            {column: value for column, value in record.items() if column not in OWN}
            for record in records
        ]
    first = await pool.fetchval(
        "SELECT job_id FROM workflow_steps WHERE execution_id = $1 AND step_no = 1", run
    )
    assert first == job
    payload = await pool.fetchval("SELECT payload FROM queue.job_queue WHERE id = $1", job)
    assert payload == {"execution_id": str(run)}
    return shown


async def test_both_ways_leave_the_same_rows(client: httpx.AsyncClient, stored: Pool) -> None:
    await start(client)  # what is needed is remembered now
    short_key, long_key = uuid4().hex, uuid4().hex
    short = await start(client, **{"Idempotency-Key": short_key})
    await stored.execute(
        "UPDATE channels SET updated_at = updated_at"
    )  # not as remembered any more
    long = await start(client, **{"Idempotency-Key": long_key})
    assert await rows(stored, short, short_key) == await rows(stored, long, long_key)
    ways = [await statements_of(stored, accepted) for accepted in (short, long)]
    assert ways[0] == 1 < ways[1]


async def statements_of(pool: Pool, accepted: Any) -> int:
    """How many statements of its transaction made the run: each numbers what it writes."""
    numbers = await pool.fetch(
        "SELECT cmin::text FROM workflow_executions WHERE id = $1"
        " UNION SELECT cmin::text FROM workflow_steps WHERE execution_id = $1"
        " UNION SELECT cmin::text FROM queue.job_queue WHERE id = $2",
        UUID(accepted["execution_id"]),
        UUID(accepted["job_id"]),
    )
    return len(numbers)


async def test_repeat_gets_the_first_answer_by_whichever_way(client: httpx.AsyncClient) -> None:
    key = uuid4().hex
    first = await start(client, **{"Idempotency-Key": key})
    again = await asyncio.gather(*(start(client, **{"Idempotency-Key": key}) for _ in range(10)))
    assert again == [first] * 10
    other = await client.post(
        "/v1/runs", content=run_body(priority=9), headers={"Idempotency-Key": key}
    )
    assert "another body" in problem(other, 422)["detail"]


async def test_key_that_was_good_a_moment_ago_ends_at_once(
    service: Service, client: httpx.AsyncClient, stored: Pool
) -> None:
    made = key_of(service.database_url, service.data_dir, "ends", "--scope", "runs:write")
    headers = {"X-API-Key": made["key"]}
    assert (await client.post("/v1/runs", content=run_body(), headers=headers)).status_code == 202
    before = await stored.fetchval("SELECT count(*) FROM workflow_executions")
    for change, back in (
        ("revoked_at = now()", "revoked_at = NULL"),
        ("expires_at = now()", "expires_at = NULL"),
        ("key_hash = repeat('a', 64)", f"key_hash = encode(sha256('{made['key']}'), 'hex')"),
    ):
        await stored.execute(f"UPDATE api_keys SET {change} WHERE name = 'ends'")
        for content in (run_body(), b"{", b'{"channel": 5}'):
            refused = await client.post("/v1/runs", content=content, headers=headers)
            problem(refused, 401)
        await stored.execute(f"UPDATE api_keys SET {back} WHERE name = 'ends'")
        again = await client.post("/v1/runs", content=run_body(), headers=headers)
        assert again.status_code == 202
    assert await stored.fetchval("SELECT count(*) FROM workflow_executions") == before + 3


async def test_scope_that_was_taken_away_is_missed_at_once(
    service: Service, client: httpx.AsyncClient, stored: Pool
) -> None:
    made = key_of(service.database_url, service.data_dir, "narrow", "--scope", "runs:write")
    headers = {"X-API-Key": made["key"]}
    assert (await client.post("/v1/runs", content=run_body(), headers=headers)).status_code == 202
    await stored.execute(
        "UPDATE api_keys SET permissions = '[\"runs:read\"]' WHERE name = 'narrow'"
    )
    refused = await client.post("/v1/runs", content=run_body(), headers=headers)
    problem(refused, 403)


async def test_channel_that_was_paused_is_refused_at_once(
    client: httpx.AsyncClient, stored: Pool
) -> None:
    await start(client)
    await stored.execute("UPDATE channels SET status = 'paused' WHERE name = 'tests'")
    try:
        refused = await client.post("/v1/runs", content=run_body())
        assert "paused" in problem(refused, 409)["detail"]
    finally:
        await stored.execute("UPDATE channels SET status = 'active' WHERE name = 'tests'")
    await start(client)


async def test_workflow_is_what_it_is_now_not_what_it_was(
    client: httpx.AsyncClient, stored: Pool
) -> None:
    await stored.execute(
        "INSERT INTO automation_workflows (name, workflow_type, configuration)"
        " VALUES ('moving', 'content_generation', $1)",
        {"channel": "tests", "topic": "First", "facts": ["Ice floats."]},
    )

    async def topic() -> Any:
        answer = await client.post("/webhooks/moving", json={"extra": 1})
        assert answer.status_code == 202, answer.text
        data = await stored.fetchval(
            "SELECT trigger_data FROM workflow_executions WHERE id::text = $1",
            answer.json()["execution_id"],
        )
        assert data["extra"] == 1
        return data["topic"]

    assert [await topic(), await topic()] == ["First", "First"]
    await stored.execute(
        'UPDATE automation_workflows SET configuration = configuration || \'{"topic": "Second"}\''
        " WHERE name = 'moving'"
    )
    assert await topic() == "Second"
    await stored.execute("UPDATE automation_workflows SET is_active = false WHERE name = 'moving'")
    problem(await client.post("/webhooks/moving", json={}), 409)
    await stored.execute("UPDATE automation_workflows SET is_active = true WHERE name = 'moving'")
    assert await topic() == "Second"


@pytest.mark.parametrize("times", [1, 20])
async def test_workers_are_told_of_what_was_accepted(
    service: Service, client: httpx.AsyncClient, times: int
) -> None:
    await start(client)
    listener = await asyncpg.connect(service.database_url)
    heard = asyncio.Event()
    await listener.add_listener("procrastinate_any_queue_v1", lambda *_: heard.set())
    await asyncio.gather(*(start(client) for _ in range(times)))
    async with asyncio.timeout(10):
        await heard.wait()
    await listener.close()
