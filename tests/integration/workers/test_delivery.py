"""Callbacks over real HTTP: what is sent, what n8n's answers do, and that nothing is lost."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from db.pool import Connection, Pool, transaction
from tests.integration.workers.runs import add_channel, begin
from tests.services.local_http import Reply, Request, as_json
from tests.services.n8n_server import Execution, N8nServer
from workers.app import make_app
from workers.callbacks.announcing import announce_run
from workers.callbacks.outbox import prune_deliveries, reconcile_deliveries, retry_delivery
from workers.queue.connector import JobQueueConnector
from workers.queue.worker import run_worker
from workers.runtime import Runtime, open_runtime
from workers.settings import Settings
from workers.signatures import BadSignature, new_secret, verify

SECRET, FORMER = new_secret(), new_secret()
SOON = """
    SELECT EXISTS (SELECT FROM webhook_deliveries
                    WHERE status = 'pending'
                      AND coalesce(next_attempt_at, now()) < now() + interval '4 seconds')
"""
PATIENCE_SECONDS = 30


@dataclass
class House:
    """A database with runs, a worker's runtime, and the n8n that is called back."""

    pool: Pool
    url: str
    runtime: Runtime
    n8n: N8nServer
    settings: dict[str, str]

    async def ended_run(self, callback_url: str | None, status: str = "success") -> UUID:
        """A run that has just ended, and is announced."""
        run = (await begin(self.pool)).execution_id
        await self.pool.execute("DELETE FROM queue.job_queue WHERE job_type LIKE 'video.%'")
        async with transaction(self.pool) as connection:
            await connection.execute(
                "UPDATE workflow_executions SET callback_url = $2, status = $3,"
                " execution_id = '231' WHERE id = $1",
                run, callback_url, status,
            )  # fmt: skip
            await announce_run(connection, execution_id=run)
        return run

    async def work(self, runtime: Runtime | None = None) -> None:
        """Let a worker send all that is due within some seconds."""

        async def still_active(connection: Connection) -> bool:
            return bool(await connection.fetchval(SOON))

        app = make_app(JobQueueConnector(self.url, pool=self.pool))
        async with asyncio.timeout(PATIENCE_SECONDS), app.open_async():
            await run_worker(
                app,
                queues=["default"],
                until_idle=True,
                still_active=still_active,
                additional_context={"runtime": runtime or self.runtime},
                install_signal_handlers=False,
            )

    async def hurry(self) -> None:
        """What waits for its next attempt is due now."""
        await self.pool.execute(
            "UPDATE queue.job_queue SET next_retry_at = now() WHERE status = 'pending'"
        )
        await self.pool.execute("UPDATE webhook_deliveries SET next_attempt_at = NULL")

    async def row(self, recipient: str = "run") -> dict[str, Any]:
        row = await self.pool.fetchrow(
            "SELECT *, extract(epoch FROM next_attempt_at - now())::float8 AS wait"
            " FROM webhook_deliveries WHERE recipient = $1 ORDER BY created_at LIMIT 1",
            recipient,
        )
        assert row is not None
        return dict(row)


@pytest.fixture
async def house(pool: Pool, database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    with N8nServer() as n8n:
        given = {
            "YTEMPIRE_DATA_DIR": str(tmp_path),
            "DATABASE_URL": database_url,
            "YTEMPIRE_CALLBACK_ALLOW": n8n.place,
            "YTEMPIRE_CALLBACK_SECRET": f"{SECRET} {FORMER}",
            "YTEMPIRE_CALLBACK_HEADER": "X-N8N-Auth: s3same",
        }
        async with open_runtime(Settings.from_env(given), database_url, pool_size=4) as runtime:
            await add_channel(pool)
            yield House(pool, database_url, runtime, n8n, given)


async def test_callback_arrives_signed_whole_and_with_its_token(house: House) -> None:
    url = house.n8n.add(Execution("231", token="4f1c/+="))
    run = await house.ended_run(url)
    await house.work()
    (request,) = house.n8n.journal
    assert request.target == "/webhook-waiting/231?signature=4f1c%2F%2B%3D"
    row = await house.row()
    assert request.headers["webhook-id"] == str(row["id"])
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-n8n-auth"] == "s3same"
    assert request.headers["host"] == house.n8n.place
    assert request.headers["user-agent"].startswith("ytempire/")
    headers = httpx.Headers(dict(request.headers))
    assert verify([SECRET], headers=headers, body=request.body) == 0
    assert verify([FORMER], headers=headers, body=request.body) == 0
    with pytest.raises(BadSignature):
        verify([new_secret()], headers=headers, body=request.body)
    (body,) = house.n8n.executions["231"].resumed
    assert list(body) == ["type", "timestamp", "data"]
    assert (body["type"], body["data"]["execution_id"]) == ("run.completed", str(run))
    assert body["data"]["n8n_execution_id"] == "231"
    assert (row["status"], row["attempts"], row["last_status_code"]) == ("delivered", 1, 200)
    assert row["delivered_at"] is not None
    job = "SELECT status FROM queue.job_queue WHERE job_type = 'callback.deliver'"
    assert await house.pool.fetchval(job) == "completed"


async def test_execution_that_does_not_wait_yet_is_asked_again_soon(house: House) -> None:
    url = house.n8n.add(Execution("231", early=4))
    await house.ended_run(url)
    began = asyncio.get_running_loop().time()
    await house.work()
    assert asyncio.get_running_loop().time() - began < 20
    row = await house.row()
    assert (row["status"], row["attempts"], row["failures"]) == ("delivered", 5, 0)
    assert row["early_answers"] == 4
    assert len(house.n8n.executions["231"].resumed) == 1
    ids = {request.headers["webhook-id"] for request in house.n8n.journal}
    assert ids == {str(row["id"])}
    bodies = {request.body for request in house.n8n.journal}
    assert len(bodies) == 1


@pytest.mark.parametrize(
    ("execution", "status", "said"),
    [
        (Execution("231", state="finished"), "delivered", "finished already"),
        (Execution("231", state="error"), "dead", "ended with an error"),
        (None, "dead", "no such execution"),
    ],
)
async def test_execution_that_is_over_ends_the_callback(
    house: House, execution: Execution | None, status: str, said: str
) -> None:
    url = house.n8n.add(execution) if execution else f"{house.n8n.root}/webhook-waiting/1"
    await house.ended_run(url)
    await house.work()
    row = await house.row()
    assert (row["status"], row["attempts"]) == (status, 1)
    assert said in row["last_error"]


async def test_wrong_token_is_dead_and_told_and_sent_again_by_hand(house: House) -> None:
    execution = Execution("231", token="right")
    url = house.n8n.add(execution)
    await house.ended_run(url.replace("right", "wrong"))
    await house.work()
    row = await house.row()
    assert (row["status"], row["last_status_code"]) == ("dead", 401)
    told = await house.pool.fetchrow("SELECT title, message, type FROM notifications")
    assert told is not None
    assert (house.n8n.root in told["title"], told["type"]) == (True, "error")
    assert f"ytempire callback retry {row['id']}" in told["message"]
    assert "wrong" not in told["title"] + told["message"].replace("its token is wrong", "")
    await house.pool.execute("UPDATE webhook_deliveries SET callback_url = $1", url)
    async with transaction(house.pool) as connection:
        assert await retry_delivery(connection, row["id"])
    await house.work()
    assert (await house.row())["status"] == "delivered"
    assert {r.headers["webhook-id"] for r in house.n8n.journal} == {str(row["id"])}
    async with transaction(house.pool) as connection:
        assert not await retry_delivery(connection, row["id"])


async def test_failures_follow_the_schedule_and_then_it_is_dead(house: House) -> None:
    house.n8n.hooks["/hook"] = lambda _: Reply(500, b"broken")
    await house.ended_run(f"{house.n8n.root}/hook")
    for least, most in ((5, 6), (300, 331), (1800, 1981)):
        await house.work()
        row = await house.row()
        assert row["status"] == "pending"
        assert least - 5 <= row["wait"] <= most
        job = await house.pool.fetchrow("SELECT status, attempts FROM queue.job_queue")
        assert job is not None
        assert (job["status"], job["attempts"]) == ("pending", 0)
        await house.hurry()
    await house.pool.execute("UPDATE webhook_deliveries SET failures = 9")
    await house.work()
    row = await house.row()
    assert (row["status"], row["failures"]) == ("dead", 10)
    assert "answered 500: broken (given up after 10 failures)" in row["last_error"]
    assert await house.pool.fetchval("SELECT count(*) FROM notifications") == 1


async def test_overloaded_receiver_is_left_alone_by_all(house: House) -> None:
    house.n8n.hooks["/hook"] = lambda _: Reply(429, headers={"Retry-After": "120"})
    await house.ended_run(f"{house.n8n.root}/hook")
    await house.work()
    assert (await house.row())["wait"] > 110
    await house.ended_run(house.n8n.add(Execution("232")))
    await house.work()
    assert len(house.n8n.journal) == 1
    waits = await house.pool.fetch(
        "SELECT failures, attempts, extract(epoch FROM next_attempt_at - now()) AS wait"
        " FROM webhook_deliveries ORDER BY created_at"
    )
    assert [(row["failures"], row["attempts"]) for row in waits] == [(1, 1), (0, 0)]
    assert all(110 < row["wait"] <= 122 for row in waits)
    await house.pool.execute("UPDATE webhook_deliveries SET held_until = now()")
    await house.hurry()
    del house.n8n.hooks["/hook"]
    await house.work()
    assert len(house.n8n.executions["232"].resumed) == 1


async def test_gone_address_is_told_nothing_more(house: House) -> None:
    house.n8n.hooks["/hook"] = lambda _: Reply(410)
    for _ in range(2):
        await house.ended_run(f"{house.n8n.root}/hook")
        await house.work()
    assert len(house.n8n.journal) == 1
    statuses = await house.pool.fetch("SELECT status, last_error FROM webhook_deliveries")
    assert {row["status"] for row in statuses} == {"dead"}
    house.n8n.hooks["/hook"] = lambda _: Reply(200)
    async with transaction(house.pool) as connection:
        first = await connection.fetchval(
            "SELECT id FROM webhook_deliveries WHERE last_status_code = 410"
        )
        assert await retry_delivery(connection, first)
    await house.work()
    await house.ended_run(f"{house.n8n.root}/hook")
    await house.work()
    assert len(house.n8n.journal) == 3


async def test_redirect_is_not_followed(house: House) -> None:
    elsewhere = {"Location": f"{house.n8n.root}/elsewhere"}
    house.n8n.hooks["/hook"] = lambda _: Reply(302, headers=elsewhere)
    house.n8n.hooks["/elsewhere"] = lambda _: Reply(200)
    await house.ended_run(f"{house.n8n.root}/hook")
    await house.work()
    assert house.n8n.paths() == ["/hook"]
    row = await house.row()
    assert (row["status"], row["failures"]) == ("pending", 1)
    assert "redirects are not followed" in row["last_error"]


async def test_address_that_is_not_allowed_any_more_is_not_connected_to(house: House) -> None:
    await house.ended_run("http://127.0.0.1:5432/")
    await house.work()
    row = await house.row()
    assert (row["status"], row["attempts"]) == ("dead", 0)
    assert "127.0.0.1:5432 is not in YTEMPIRE_CALLBACK_ALLOW" in row["last_error"]


async def test_alert_goes_where_the_worker_is_told_or_is_seen_to_go_nowhere(house: House) -> None:
    await house.ended_run(None, "failed")
    await house.work()
    row = await house.row("alert")
    assert (row["status"], row["attempts"]) == ("skipped", 0)
    house.n8n.hooks["/webhook/ytempire-alert"] = lambda _: as_json({"message": "started"})
    url = f"{house.n8n.root}/webhook/ytempire-alert"
    settings = Settings.from_env(house.settings | {"YTEMPIRE_ALERT_CALLBACK_URL": url})
    async with open_runtime(settings, house.url, pool_size=4) as runtime:
        async with transaction(house.pool) as connection:
            assert await retry_delivery(connection, row["id"])
        await house.work(runtime)
    (request,) = house.n8n.journal
    assert request.path == "/webhook/ytempire-alert"
    assert request.headers["x-n8n-auth"] == "s3same"
    assert (await house.row("alert"))["callback_url"] == url


async def test_delivery_whose_job_is_gone_gets_another(house: House) -> None:
    await house.ended_run(house.n8n.add(Execution("231")))
    assert await reconcile_deliveries(house.pool) == 0
    await house.pool.execute("DELETE FROM queue.job_queue")
    assert await reconcile_deliveries(house.pool) == 1
    await house.work()
    assert (await house.row())["status"] == "delivered"


async def test_delivery_that_crashed_its_workers_is_dead_with_the_evidence(house: House) -> None:
    await house.ended_run(house.n8n.add(Execution("231")))
    await house.pool.execute(
        "UPDATE queue.job_queue SET status = 'failed', last_error = 'killed three workers'"
    )
    assert await reconcile_deliveries(house.pool) == 1
    row = await house.row()
    assert (row["status"], row["last_error"]) == ("dead", "killed three workers")
    assert await house.pool.fetchval("SELECT count(*) FROM notifications") == 1
    assert house.n8n.journal == []


async def test_second_job_of_a_delivery_sends_nothing(house: House) -> None:
    await house.ended_run(house.n8n.add(Execution("231")))
    await house.pool.execute(
        "INSERT INTO queue.job_queue (job_type, payload)"
        " SELECT job_type, payload FROM queue.job_queue"
    )
    await house.work()
    assert len(house.n8n.journal) == 1


async def test_old_deliveries_go_and_the_dead_stay(house: House) -> None:
    for status in ("success", "failed"):
        await house.ended_run(house.n8n.add(Execution(status)), status)
    await house.pool.execute(
        "UPDATE webhook_deliveries SET created_at = now() - interval '31 days',"
        " status = CASE event WHEN 'run.failed' THEN 'dead' ELSE 'delivered' END"
    )
    assert await prune_deliveries(house.pool) == 1
    assert await house.pool.fetchval("SELECT DISTINCT status FROM webhook_deliveries") == "dead"


async def test_largest_body_stays_below_the_limit(house: House) -> None:
    url = house.n8n.add(Execution("231"))
    run = await house.ended_run(url)
    await house.pool.execute("DELETE FROM webhook_deliveries")
    await house.pool.execute("UPDATE videos SET title = repeat('€', 100)")
    async with transaction(house.pool) as connection:
        await connection.execute(
            "UPDATE workflow_executions SET status = 'failed', error_message = repeat('€', 100000)"
            " WHERE id = $1", run,
        )  # fmt: skip
        await announce_run(connection, execution_id=run)
    await house.work()
    (request,) = house.n8n.journal
    assert 5_000 < len(request.body) < 20_000


def test_request_of_the_server_is_what_was_sent() -> None:
    """Guards the guard: the fake shows a query as it came."""
    with N8nServer() as n8n:
        n8n.hooks["/a"] = lambda request: Reply(200, request.target.encode())
        raw: Request
        assert httpx.post(f"{n8n.root}/a?b=%2F", trust_env=False).text == "/a?b=%2F"
        (raw,) = n8n.journal
        assert raw.query == {"b": "/"}


async def test_waiting_run_shows_its_preview_by_a_link_that_stays_the_same(house: House) -> None:
    house.n8n.hooks["/hook"] = lambda _: Reply(500)
    await house.ended_run(f"{house.n8n.root}/hook", "waiting")
    settings = Settings.from_env(
        house.settings
        | {
            "YTEMPIRE_PUBLIC_URL": "https://videos.example.com",
            "YTEMPIRE_SECRET_KEYS": "k:" + base64.b64encode(bytes(32)).decode(),
        }
    )
    async with open_runtime(settings, house.url, pool_size=4) as runtime:
        for _ in range(2):
            await house.work(runtime)
            await house.hurry()
    first, second = (body["data"]["preview_url"] for body in house.n8n.bodies())
    assert first == second
    assert first.startswith("https://videos.example.com/preview/")
