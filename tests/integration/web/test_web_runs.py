"""Runs and jobs over HTTP, asked for once or many times."""

import asyncio
import json

import httpx
import pytest

from db.pool import Pool
from tests.integration.web.conftest import Service, run_body
from tests.services.web import problem


async def count(pool: Pool, table: str) -> int:
    return int(await pool.fetchval(f"SELECT count(*) FROM {table}"))


async def test_run_is_accepted_with_its_job_and_found_where_it_says(
    client: httpx.AsyncClient, stored: Pool
) -> None:
    url = "https://n8n.example.com/webhook-waiting/7?token=a%2Fb"
    answer = await client.post(
        "/v1/runs", content=run_body(callback_url=url, execution_id="7", priority=2)
    )
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert set(body) == {"execution_id", "video_id", "job_id", "status_url"}
    assert answer.headers["location"] == body["status_url"] == f"/v1/runs/{body['execution_id']}"

    shown = (await client.get(body["status_url"])).json()
    assert (shown["id"], shown["status"]) == (body["execution_id"], "queued")
    assert (shown["n8n_execution_id"], shown["channel"]["name"]) == ("7", "tests")
    job = (await client.get(f"/v1/jobs/{body['job_id']}")).json()
    assert (job["job_type"], job["priority"]) == ("video.trend_pick", 2)
    assert (
        await stored.fetchval(
            "SELECT callback_url FROM workflow_executions WHERE id::text = $1", body["execution_id"]
        )
        == url
    )


async def test_job_is_accepted_in_its_own_queue(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/v1/jobs", json={"job_type": "maintenance.noop", "payload": {"n": 1}}
    )
    assert answer.status_code == 202, answer.text
    assert set(answer.json()) == {"job_id", "status_url"}
    job = (await client.get(answer.headers["location"])).json()
    assert (job["queue"], job["payload"], job["requested_by"], job["max_attempts"]) == (
        "maintenance", {"n": 1}, "http:all", 3,
    )  # fmt: skip


async def test_racing_repeats_make_one_run_and_get_its_answer(
    client: httpx.AsyncClient, stored: Pool
) -> None:
    before = await count(stored, "workflow_executions")
    answers = await asyncio.gather(
        *(
            client.post(
                "/v1/runs",
                content=run_body(),
                headers={"Idempotency-Key": "race" if n % 2 else '"race"'},
            )
            for n in range(50)
        )
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert await count(stored, "workflow_executions") == before + 1


async def test_same_key_with_another_body_is_422_and_elsewhere_another_key(
    client: httpx.AsyncClient,
) -> None:
    headers = {"Idempotency-Key": "other-body"}
    first = await client.post("/v1/runs", content=run_body(), headers=headers)
    again = await client.post("/v1/runs", content=run_body(priority=1), headers=headers)
    assert "another body" in problem(again, 422)["detail"]
    reordered = json.dumps(dict(reversed(json.loads(run_body()).items()))).encode()
    same = await client.post("/v1/runs", content=reordered, headers=headers)
    assert same.json() == first.json()
    elsewhere = await client.post(
        "/v1/jobs", json={"job_type": "maintenance.noop"}, headers=headers
    )
    assert elsewhere.status_code == 202


async def test_refused_request_leaves_its_key_free(client: httpx.AsyncClient, stored: Pool) -> None:
    headers = {"Idempotency-Key": "freed"}
    refused = await client.post("/v1/runs", json={"channel": "nowhere"}, headers=headers)
    assert "nowhere" in problem(refused, 404)["detail"]
    accepted = await client.post("/v1/runs", content=run_body(), headers=headers)
    assert accepted.status_code == 202


@pytest.mark.parametrize("key", ["", '"', '"open', "x" * 201, "caf\u00e9", '"a"b"'])
async def test_malformed_idempotency_key_is_400(client: httpx.AsyncClient, key: str) -> None:
    answer = await client.post(
        "/v1/runs",
        content=run_body(),
        headers={b"Idempotency-Key": key.encode("latin-1")},  # type: ignore[arg-type]
    )
    problem(answer, 400)


async def test_signed_message_is_done_once_however_often_it_comes(
    service: Service, stored: Pool
) -> None:
    before = await count(stored, "workflow_executions")
    answers = await asyncio.gather(
        *(asyncio.to_thread(service.signed, run_body(), message_id="m-1") for _ in range(20))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert await count(stored, "workflow_executions") == before + 1
    other = service.signed(run_body(priority=1), message_id="m-1")
    assert "another body" in problem(other, 409)["detail"]


async def test_webhook_starts_the_workflow_and_keeps_its_trigger_data(
    client: httpx.AsyncClient, stored: Pool
) -> None:
    answer = await client.post(
        "/webhooks/line", json={"channel": "tests", "topic": "Snow", "row_number": 12}
    )
    assert answer.status_code == 202, answer.text
    data = await stored.fetchval(
        "SELECT trigger_data FROM workflow_executions WHERE id::text = $1",
        answer.json()["execution_id"],
    )
    assert (data["topic"], data["row_number"]) == ("Snow", 12)


async def test_webhook_of_an_unknown_or_disabled_workflow_starts_nothing(
    client: httpx.AsyncClient, stored: Pool
) -> None:
    problem(await client.post("/webhooks/nothing", json={}), 404)
    problem(await client.post("/webhooks/%00", json={}), 404)
    await stored.execute(
        "INSERT INTO automation_workflows (name, workflow_type, is_active)"
        " VALUES ('off', 'content_generation', false), ('tidy', 'maintenance', true)"
    )
    assert "disabled" in problem(await client.post("/webhooks/off", json={}), 409)["detail"]
    assert "maintenance" in problem(await client.post("/webhooks/tidy", json={}), 409)["detail"]
    missing = problem(await client.post("/webhooks/line", json={}), 422)
    assert "channel" in missing["detail"]


async def test_workflow_gives_defaults_and_its_trigger_wins(
    client: httpx.AsyncClient, stored: Pool
) -> None:
    await stored.execute(
        "INSERT INTO automation_workflows"
        " (name, workflow_type, priority, channel_id, configuration)"
        " SELECT 'daily', 'content_generation', 3, id, $1 FROM channels WHERE name = 'tests'",
        {"topic": "Rain", "facts": ["Rain falls."]},
    )
    answers = [await client.post("/webhooks/daily", json=body) for body in ({}, {"topic": "Hail"})]
    rows = [
        await stored.fetchrow(
            "SELECT e.trigger_data, e.priority, w.name FROM workflow_executions e"
            " JOIN automation_workflows w ON w.id = e.workflow_id WHERE e.id::text = $1",
            answer.json()["execution_id"],
        )
        for answer in answers
    ]
    assert [row["trigger_data"]["topic"] for row in rows] == ["Rain", "Hail"]
    assert {(row["priority"], row["name"]) for row in rows} == {(3, "daily")}


@pytest.mark.parametrize("path", ["/v1/runs", "/v1/jobs"])
async def test_pages_hold_every_item_once_newest_first(
    client: httpx.AsyncClient, path: str
) -> None:
    for _ in range(3):
        await client.post("/v1/runs", content=run_body())
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        listed = (await client.get(path, params={"limit": 2, **cursor})).json()
        assert set(listed) == {"items", "next_cursor"}
        seen += [item["id"] for item in listed["items"]]
        if listed["next_cursor"] is None:
            break
        cursor = {"cursor": listed["next_cursor"]}
    whole = (await client.get(path, params={"limit": 200})).json()["items"]
    assert seen == [item["id"] for item in whole]
    assert len(set(seen)) == len(seen) >= 3


async def test_approval_lets_only_a_waiting_run_go_on(
    client: httpx.AsyncClient, stored: Pool
) -> None:
    started = (await client.post("/v1/runs", content=run_body())).json()
    path = f"{started['status_url']}/approve"
    assert "does not wait" in problem(await client.post(path), 409)["detail"]
    await stored.execute(
        "UPDATE workflow_executions SET status = 'waiting', current_step = 'upload'"
        " WHERE id::text = $1",
        started["execution_id"],
    )
    approved = await client.post(path)
    assert (approved.status_code, approved.json()["status"]) == (200, "queued")
    assert (
        await stored.fetchval(
            "SELECT count(*) FROM queue.job_queue WHERE job_type = 'video.upload'"
            " AND payload->>'execution_id' = $1",
            started["execution_id"],
        )
        == 1
    )
    problem(await client.post(path), 409)
    problem(await client.post(f"/v1/runs/{started['job_id']}/approve"), 404)
