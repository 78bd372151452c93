"""Strangers with time: replays in parallel, foreign keys, probes of keys, text that is code, and a
database that is away."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from db.pool import Pool, acquired, open_pool, transaction
from tests.integration.web.conftest import Service, run_body
from tests.integration.workers.runs import add_channel
from tests.services.postgres import SessionFolder
from tests.services.queue_postgres import MortalServer
from tests.services.web import PROGRAM, key_of, problem, raw, serving, start_server
from workers.keys import check_key, create_key
from workers.secrets import SecretKeys
from workers.signatures import sign

JSON = {"content-type": "application/json"}
CODE = [
    "'; DROP TABLE videos; --",
    '"',
    "\\",
    "%s %(x)s {0} ${1} :name $1",
    "100% _ \\_ %%",
    "$$; SELECT pg_sleep(60); $$",
    "' OR '1'='1",
    "\u202e\u0000".replace("\u0000", "x"),
]


async def test_fifty_replays_at_once_make_one_run(service: Service, stored: Pool) -> None:
    before = await stored.fetchval("SELECT count(*) FROM workflow_executions")
    body = run_body()
    headers = JSON | sign(
        service.signing_secret, message_id="fifty", at=datetime.now(UTC), body=body.decode()
    )
    async with httpx.AsyncClient(base_url=service.address, trust_env=False, timeout=60) as anybody:
        answers = await asyncio.gather(
            *(anybody.post("/v1/runs", content=body, headers=headers) for _ in range(50))
        )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert await stored.fetchval("SELECT count(*) FROM workflow_executions") == before + 1


async def test_signature_counts_for_its_own_key_only(service: Service) -> None:
    other = key_of(
        service.database_url, service.data_dir, "signer", "--scope", "runs:write",
        "--signing-secret",
    )  # fmt: skip
    body = run_body()

    def signed(secret: str) -> dict[str, str]:
        at = datetime.now(UTC)
        return JSON | sign(secret, message_id=uuid4().hex, at=at, body=body.decode())

    async with httpx.AsyncClient(base_url=service.address, trust_env=False) as anybody:
        for secret, key, status in (
            (other["signing_secret"], service.key, 401),
            (service.signing_secret, other["key"], 401),
            (service.signing_secret, service.reader, 401),  # has none
            (other["signing_secret"], other["key"], 202),
        ):
            headers = signed(secret) | {"x-api-key": key}
            answer = await anybody.post("/v1/runs", content=body, headers=headers)
            assert answer.status_code == status, answer.text


async def test_former_secret_verifies_until_the_next_rotation(service: Service) -> None:
    made = key_of(
        service.database_url, service.data_dir, "turns", "--scope", "runs:write",
        "--signing-secret",
    )  # fmt: skip
    secrets, keys = [made["signing_secret"]], [made["key"]]

    async def accepted() -> list[bool]:
        body = run_body()
        async with httpx.AsyncClient(base_url=service.address, trust_env=False) as anybody:
            answers = [
                await anybody.post(
                    "/v1/runs",
                    content=body,
                    headers=JSON
                    | sign(s, message_id=uuid4().hex, at=datetime.now(UTC), body=body.decode()),
                )
                for s in secrets
            ]
            answers += [
                await anybody.post("/v1/runs", content=body, headers=JSON | {"x-api-key": key})
                for key in keys
            ]
        assert {answer.status_code for answer in answers} <= {202, 401}
        return [answer.status_code == 202 for answer in answers]

    assert await accepted() == [True, True]
    for expected in ([True, True, False, True], [False, True, True, False, False, True]):
        done = subprocess.run(
            [str(PROGRAM), "key", "rotate", "turns", "--json"],
            env={
                "PATH": str(PROGRAM.parent), "HOME": str(service.data_dir),
                "YTEMPIRE_DATA_DIR": str(service.data_dir), "DATABASE_URL": service.database_url,
            },
            capture_output=True, check=True, timeout=60,
        )  # fmt: skip
        turned = json.loads(done.stdout)
        secrets.append(turned["signing_secret"])
        keys.append(turned["key"])
        assert await accepted() == expected


async def test_every_wrong_key_costs_the_same_work(pool: Pool) -> None:
    """Counted, not timed: the same statements, and the same calls of ours and of the hashes."""
    async with transaction(pool) as connection:
        sealing = SecretKeys({"k": b"k" * 32})
        made = await create_key(connection, sealing, name="k", scopes=["runs:read"])
        gone = await create_key(connection, sealing, name="gone", scopes=["runs:read"])
        await connection.execute("UPDATE api_keys SET revoked_at = now() WHERE name = 'gone'")
    wrong = {
        "unknown prefix": f"yte_{'0' * 12}_{'A' * 43}",
        "wrong secret": f"yte_{made.prefix}_{'A' * 43}",
        "revoked": gone.key,
    }
    work = {}
    async with acquired(pool) as connection:
        await check_key(connection, made.key)  # prepared by now
        for name, key in wrong.items():
            asked: list[str] = []
            calls: list[str] = []

            def watch(frame: Any, event: str, argument: Any, calls: list[str] = calls) -> None:
                module = frame.f_globals.get("__name__", "")
                if event == "call" and module in ("workers.keys", "db.repositories.api_keys"):
                    calls.append(frame.f_code.co_name)
                elif event == "c_call" and argument.__name__ in (
                    "openssl_sha256", "compare_digest", "hexdigest",
                ):  # fmt: skip
                    calls.append(argument.__name__)

            with connection.query_logger(lambda record, asked=asked: asked.append(record.query)):
                sys.setprofile(watch)
                try:
                    assert await check_key(connection, key) is None
                finally:
                    sys.setprofile(None)
            work[name] = (asked, [call for call in calls if call != "__init__"])
    assert work["wrong secret"] == work["unknown prefix"] == work["revoked"]
    asked, calls = work["wrong secret"]
    assert len(asked) == 1
    assert calls.count("compare_digest") == 1


@pytest.mark.parametrize("text", CODE)
async def test_text_that_is_code_is_stored_as_text(
    client: httpx.AsyncClient, stored: Pool, text: str
) -> None:
    body = {
        "channel": "tests", "topic": text, "facts": [text], "execution_id": text,
        "callback_url": f"https://n8n.example.com/?q={text.encode().hex()}",
    }  # fmt: skip
    key = {"Idempotency-Key": uuid4().hex}
    answer = await client.post("/v1/runs", json=body, headers=key)
    assert answer.status_code == 202, answer.text
    row = await stored.fetchrow(
        "SELECT e.trigger_data, e.execution_id, v.topic FROM workflow_executions e"
        " JOIN videos v ON v.id = e.video_id WHERE e.id::text = $1",
        answer.json()["execution_id"],
    )
    assert (row["trigger_data"]["topic"], row["execution_id"], row["topic"]) == (text, text, text)
    problem(await client.post("/v1/runs", json=body | {"channel": text}), 404)
    problem(await client.post("/v1/runs", json=body | {"trend_id": text}), 422)
    job = {"job_type": "maintenance.noop", "payload": {text: text}}
    made = await client.post("/v1/jobs", json=job)
    assert (await client.get(made.headers["location"])).json()["payload"] == {text: text}
    problem(await client.post("/v1/jobs", json=job | {"job_type": text}), 422)
    problem(await client.post("/v1/jobs", json=job | {"queue": text}), 422)
    problem(await client.get("/v1/runs", params={"channel": text}), 404)
    for path in ("/v1/runs", "/v1/jobs"):
        assert (await client.get(path, params={"status": text})).status_code == 422
        assert (await client.get(path, params={"cursor": text})).status_code == 422
    assert (await client.get("/v1/jobs", params={"job_type": text})).json()["items"] == []
    quoted = httpx.URL(f"{client.base_url}/webhooks/").join(httpx.URL(path="x").path)
    assert (await client.post(str(quoted), json={})).status_code == 404
    assert await stored.fetchval("SELECT count(*) FROM videos") > 0


@pytest.mark.parametrize(
    "path",
    [
        "/v1/runs/../../etc/passwd", "/v1/runs/..%2f..%2fetc%2fpasswd", "/v1/runs/%2e%2e/%2e%2e/x",
        "//etc/passwd", "/v1/runs/%0d%0aX-Evil:1", "/v1/jobs/\u2215etc", "/preview/../v1/runs",
        "/webhooks/..%2fline", "/webhooks/" + "a" * 300, "/preview/" + "a" * 300, "/v1/runs/%00",
        "/.env", "/static/..%2f..%2fworkers/settings.py",
    ],
)  # fmt: skip
async def test_no_path_leads_anywhere(service: Service, path: str) -> None:
    quoted = path.encode().decode("latin-1").encode("latin-1")
    for method in (b"GET", b"POST"):
        request = b"%b %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-API-Key: %b\r\n" % (
            method, quoted, service.key.encode(),
        )  # fmt: skip
        answer = raw(service.address, request + b"Content-Length: 2\r\n\r\n{}")
        assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), answer[:300]
        assert b"root:" not in answer
        assert b"\r\nX-Evil" not in answer


async def test_body_shorter_than_it_was_said_to_be_starts_nothing(
    service: Service, stored: Pool
) -> None:
    before = await stored.fetchval("SELECT count(*) FROM workflow_executions")
    reader, writer = await asyncio.open_connection(*service.address[7:].split(":"))
    writer.write(
        b"POST /v1/runs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-API-Key: "
        + service.key.encode()
        + b"\r\nContent-Length: 5000\r\n\r\n"
        + run_body()
    )
    await writer.drain()
    writer.write_eof()
    assert not (await reader.read()).startswith((b"HTTP/1.1 2", b"HTTP/1.1 5"))
    writer.close()
    assert await stored.fetchval("SELECT count(*) FROM workflow_executions") == before


async def test_killed_servers_never_let_more_through_than_the_limit(
    database_url: str, make_data_dir: Callable[[], Path]
) -> None:
    folder, limit = make_data_dir(), 60
    key = key_of(database_url, folder, "k", "--scope", "runs:read", f"--rate-limit={limit}")["key"]
    passed = 0

    async def ask(address: str, times: int) -> int:
        """How many of so many requests pass; a server that is killed answers no more."""
        ok = 0
        async with httpx.AsyncClient(
            headers={"X-API-Key": key}, trust_env=False, timeout=60
        ) as caller:
            for _ in range(times):
                try:
                    answer = await caller.get(f"{address}/v1/runs")
                except httpx.TransportError:
                    break
                assert answer.status_code in (200, 429)
                ok += answer.status_code == 200
        return ok

    doomed, doomed_address = start_server(database_url, folder)
    with serving(database_url, folder) as second:
        passed += await ask(doomed_address, 5)
        asked = [asyncio.create_task(ask(doomed_address, 60)) for _ in range(3)]
        asked += [asyncio.create_task(ask(second, 20)) for _ in range(2)]
        await asyncio.sleep(0.05)
        doomed.kill()
        passed += sum(await asyncio.gather(*asked))
        doomed.wait()
        assert doomed.stdout is not None
        doomed.stdout.close()
    with serving(database_url, folder) as third:  # a restart forgets nothing
        passed += await ask(third, limit)
    assert 0 < passed <= limit


async def test_database_that_is_away_is_503_and_nothing_is_lost(
    request: pytest.FixtureRequest, make_data_dir: Callable[[], Path]
) -> None:
    folder = SessionFolder()
    try:
        place = folder.path / "server"
        place.mkdir(mode=0o711)
        server = MortalServer(place, request.config.getoption("--pg"))
        with server.database() as url:
            await _while_away(server, url, make_data_dir())
        server.stop()
    finally:
        folder.remove()


async def _while_away(server: MortalServer, url: str, data_dir: Path) -> None:
    pool = await open_pool(url, max_size=1)
    await add_channel(pool)
    await pool.close()
    made = key_of(url, data_dir, "k", "--scope", "runs:write", "--signing-secret")
    headers = {"X-API-Key": made["key"], "Idempotency-Key": "away"}
    with serving(url, data_dir) as address:
        async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=60) as caller:
            warm = await caller.post("/v1/runs", content=run_body(), headers={**headers, **JSON,
                                     "Idempotency-Key": "warm"})  # fmt: skip
            assert warm.status_code == 202
            server.stop()
            for extra in (headers, sign(made["signing_secret"], message_id="m",
                          at=datetime.now(UTC), body=run_body().decode())):  # fmt: skip
                for _ in range(3):
                    away = await caller.post("/v1/runs", content=run_body(), headers=JSON | extra)
                    problem(away, 503)
                    assert int(away.headers["retry-after"]) > 0
            assert (await caller.get("/livez")).status_code == 200
            problem(await caller.get("/readyz"), 503)
            server.go_on()
            answers = [
                await caller.post("/v1/runs", content=run_body(), headers=JSON | headers)
                for _ in range(2)
            ]
            assert [answer.status_code for answer in answers] == [202, 202]
            assert answers[0].text == answers[1].text
    pool = await open_pool(url, max_size=1)
    assert await pool.fetchval("SELECT count(*) FROM workflow_executions") == 2
    await pool.close()
