"""What must not come in: every malformed request is a 4xx that says why, and changes nothing."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from db.pool import Pool
from tests.integration.web.conftest import Service, run_body
from tests.services.web import key_of, problem, raw
from workers.signatures import sign

KIB = 1024
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "yte_000000000000_" + "A" * 43},
        {"X-API-Key": "nonsense"},
        {"Authorization": "Basic eW91OnRoZXJl"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer yte_000000000000_" + "A" * 43},
        {"X-API-Key": "caf\u00e9"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/runs", "/v1/jobs"])
async def test_stranger_gets_nothing(service: Service, headers: dict[str, str], path: str) -> None:
    sent = {name: text.encode("latin-1") for name, text in headers.items()}
    async with httpx.AsyncClient(base_url=service.address, trust_env=False) as stranger:
        said = {
            problem(await stranger.get(path, headers=sent), 401)["detail"],
            problem(await stranger.post(path, headers=sent, content=b"{"), 401)["detail"],
        }
        assert len(said) == 1


async def test_key_is_taken_from_one_header_and_never_from_the_address(service: Service) -> None:
    async with httpx.AsyncClient(base_url=service.address, trust_env=False) as caller:
        for name in ("api_key", "key", "X-API-Key", "access_token"):
            problem(await caller.get("/v1/runs", params={name: service.key}), 401)
        both = [("X-API-Key", service.key), ("Authorization", f"Bearer {service.key}")]
        problem(await caller.get("/v1/runs", headers=both), 401)
        bearer = await caller.get("/v1/runs", headers=dict(both[1:]))
        assert bearer.status_code == 200


async def test_wrong_and_known_prefix_are_refused_alike(service: Service) -> None:
    wrong = service.key[:17] + "A" * 43
    async with httpx.AsyncClient(base_url=service.address, trust_env=False) as caller:
        known = problem(await caller.get("/v1/runs", headers={"X-API-Key": wrong}), 401)
        unknown = problem(await caller.get("/v1/runs", headers={"X-API-Key": "x"}), 401)
    assert known["detail"] == unknown["detail"]


async def test_missing_scope_is_403_and_names_it(service: Service) -> None:
    async with httpx.AsyncClient(
        base_url=service.address, headers={"X-API-Key": service.reader}, trust_env=False
    ) as reader:
        assert (await reader.get("/v1/runs")).status_code == 200
        refused = problem(await reader.post("/v1/runs", content=run_body()), 403)
        assert "runs:write" in refused["detail"]
        problem(await reader.get("/v1/jobs"), 403)


async def test_one_over_the_limit_is_429_and_says_when(service: Service) -> None:
    made = key_of(
        service.database_url, service.data_dir, "small", "--scope", "runs:read", "--rate-limit=3"
    )
    async with httpx.AsyncClient(
        base_url=service.address, headers={"X-API-Key": made["key"]}, trust_env=False
    ) as caller:
        for _ in range(3):
            assert (await caller.get("/v1/runs")).status_code == 200
        refused = await caller.get("/v1/runs")
    problem(refused, 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 3600


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-signature": None},
        {"webhook-id": None},
        {"webhook-timestamp": None},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,a,b"},
        {"webhook-signature": "v1,%%%"},
        {"webhook-signature": "v2,AAAA"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,\u00e9"},
        {"webhook-timestamp": "nan"},
        {"webhook-timestamp": "1e400"},
        {"webhook-timestamp": "1.5"},
        {"webhook-id": "caf\u00e9"},
        {"x-api-key": "yte_000000000000_" + "A" * 43},
    ],
)
async def test_bad_signature_is_401(service: Service, change: dict[str, str | None]) -> None:
    headers: dict[str, Any] = signature(service) | JSON | change
    sent = {name: text.encode("latin-1") for name, text in headers.items() if text is not None}
    async with httpx.AsyncClient(base_url=service.address, trust_env=False) as caller:
        problem(await caller.post("/v1/runs", content=run_body(), headers=sent), 401)


@pytest.mark.parametrize("late", [301, -302])
async def test_signature_of_another_time_or_body_is_401(service: Service, late: int) -> None:
    async with httpx.AsyncClient(base_url=service.address, trust_env=False) as caller:
        stale = signature(service, late=late) | JSON
        problem(await caller.post("/v1/runs", content=run_body(), headers=stale), 401)
        again = json.dumps(json.loads(run_body()), indent=1).encode()
        headers = signature(service) | JSON
        problem(await caller.post("/v1/runs", content=again, headers=headers), 401)
        problem(await caller.post("/v1/runs", content=b"\xff\xfe", headers=headers), 401)


def signature(service: Service, *, late: int = 0) -> dict[str, str]:
    at = datetime.now(UTC) - timedelta(seconds=late)
    return sign(service.signing_secret, message_id="bad", at=at, body=run_body().decode())


DEEP = b'{"channel": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe{}", 400),
        (b"\xef\xbb\xbf{}", 400),
        (DEEP, 400),
        (b'{"a": ' * 65 + b"1" + b"}" * 65, 400),
        (b"[]", 422),
        (b"null", 422),
        (b'{"channel": NaN}', 422),
        (b'{"channel": -Infinity}', 422),
        (b'{"channel": "tests", "priority": 1e400}', 422),
        (b'{"channel": "tests", "priority": ' + b"9" * 5000 + b"}", 422),
        (b'{"channel": "tests", "channel": "tests"}', 422),
        (b'{"channel": "tests", "topic": "\\ud800"}', 422),
        (b'{"channel": "tests", "topic": "a\\u0000b"}', 422),
        (b'{"channel": "tests", "\\u0000": 1}', 422),
        (b'{"channel": "tests", "priority": "5"}', 422),
        (b'{"channel": "tests", "priority": 11}', 422),
        (b'{"channel": "tests", "surprise": 1}', 422),
        (b'{"channel": 5}', 422),
        (b'{"channel": "tests", "publish_at": "0001-01-01T00:00:00+14:00"}', 422),
        (b'{"channel": "tests", "topic": "' + b"x" * 501 + b'"}', 422),
    ],
)
@pytest.mark.parametrize("path", ["/v1/runs", "/webhooks/line"])
async def test_malformed_body_is_refused_and_starts_nothing(
    client: httpx.AsyncClient, stored: Pool, body: bytes, status: int, path: str
) -> None:
    if path == "/webhooks/line" and b"surprise" in body:
        body = b'{"channel": "", "surprise": 1}'  # unknown fields are trigger data there
    before = await stored.fetchval("SELECT count(*) FROM queue.job_queue")
    problem(await client.post(path, content=body, headers=JSON), status)
    assert await stored.fetchval("SELECT count(*) FROM queue.job_queue") == before


@pytest.mark.parametrize(
    "job",
    [
        {"job_type": "no.such"},
        {"job_type": "maintenance.noop", "payload": []},
        {"job_type": "maintenance.noop", "queue": "a b"},
        {"job_type": "maintenance.noop", "queue": "x" * 41},
        {"job_type": "maintenance.noop", "max_attempts": 0},
        {"job_type": "maintenance.noop", "scheduled_for": "2026-11-20T10:00:00"},
        {"job_type": "maintenance.noop", "scheduled_for": "9999-12-31T23:59:59-14:00"},
        {"job_type": "maintenance.noop", "lock": "x"},
    ],
)
async def test_job_that_no_worker_could_do_is_422(
    client: httpx.AsyncClient, job: dict[str, Any]
) -> None:
    problem(await client.post("/v1/jobs", json=job), 422)


async def test_body_is_capped_while_it_streams(client: httpx.AsyncClient) -> None:
    async def chunks() -> Any:
        for _ in range(257):
            yield b" " * KIB

    problem(await client.post("/v1/runs", content=chunks(), headers=JSON), 413)
    problem(await client.post("/v1/runs", content=b" " * (257 * KIB), headers=JSON), 413)
    most = run_body()
    most += b" " * (256 * KIB - len(most))
    assert (await client.post("/v1/runs", content=most, headers=JSON)).status_code == 202


async def test_encoded_or_foreign_body_is_415(client: httpx.AsyncClient) -> None:
    bomb = gzip.compress(bytes(10 * KIB * KIB))
    problem(
        await client.post("/v1/runs", content=bomb, headers=JSON | {"content-encoding": "gzip"}),
        415,
    )
    form = {"content-type": "application/x-www-form-urlencoded"}
    problem(await client.post("/v1/runs", content=b"channel=tests", headers=form), 415)


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: ten\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_lying_length_never_gives_a_5xx(service: Service, lines: bytes) -> None:
    head = b"POST /v1/runs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-API-Key: "
    answer = raw(service.address, head + service.key.encode() + b"\r\n" + lines + b"\r\n{}")
    assert answer.startswith(b"HTTP/1.1 4"), answer[:200]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/runs?cursor=!!!",
        "/v1/runs?cursor=AAAA",
        "/v1/runs?cursor=MjAyNnwx",
        "/v1/jobs?cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk",
        "/v1/jobs?cursor=%00",
        "/v1/jobs?cursor=MDAwMS0wMS0wMVQwMDowMDowMCsxNDowMHwx",
        "/v1/jobs?cursor=MjAyNi0xMS0yMFQwMDowMDowMHwx",
        "/v1/jobs?cursor=MjAyNi0xMS0yMFQwMDowMDowMCswMDowMHw5OTk5OTk5OTk5OTk5OTk5OTk5OQ",
        "/v1/runs?cursor=MDAwMS0wMS0wMVQwMDowMDowMCsxNDowMHwwMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDA",
        "/v1/runs?limit=0",
        "/v1/runs?limit=nan",
        "/v1/runs?status=lost",
        "/v1/runs?channel=%00",
        "/v1/jobs?queue=%00",
        "/v1/runs/not-an-id",
    ],
)
async def test_malformed_address_is_422(client: httpx.AsyncClient, path: str) -> None:
    problem(await client.get(path), 422)


async def test_what_is_not_there_is_a_problem_too(client: httpx.AsyncClient) -> None:
    problem(await client.get("/nowhere"), 404)
    problem(await client.delete("/v1/runs"), 405)
    problem(await client.get("/v1/runs/00000000-0000-0000-0000-000000000000"), 404)
    problem(await client.get("/v1/runs?channel=nowhere"), 404)


@pytest.mark.parametrize(
    "url",
    [
        "http://n8n.example.com/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://017700000001/",
        "https://[::ffff:127.0.0.1]/",
        "https://100.64.0.1/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://224.0.0.1/",
        "https://user@n8n.example.com/",
        "https://n8n.example.com:5432/",
        "https://n8n.example.com./",
        "https://n8n.exämple.com/",
        "https://169.254.169.254/latest/meta-data/",
        "gopher://n8n.example.com/",
        "",
    ],
)
async def test_callback_into_a_network_is_refused_and_starts_nothing(
    client: httpx.AsyncClient, stored: Pool, url: str
) -> None:
    before = await stored.fetchval("SELECT count(*) FROM workflow_executions")
    for path in ("/v1/runs", "/webhooks/line"):
        answer = await client.post(path, content=run_body(callback_url=url))
        told = problem(answer, 422)
        assert told["errors"][0]["field"] == "callback_url"
    assert await stored.fetchval("SELECT count(*) FROM workflow_executions") == before
