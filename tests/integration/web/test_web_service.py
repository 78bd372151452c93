"""The service as a whole: its document, its health, slow senders, several servers, its end."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from db.pool import Pool, transaction
from db.revisions import head_revision
from pipeline.providers.store import ObjectStore
from tests.integration.web.conftest import Service, run_body
from tests.services.web import key_of, problem, serving
from workers.keys import HourlyLimits, create_key
from workers.runs.preview_links import PreviewLinks
from workers.secrets import SecretKeys
from workers.web import make_web
from workers.web.announcing import Announcer
from workers.web.body import Limits
from workers.web.context import Web

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 12


def test_nothing_that_the_document_allows_or_forbids_is_a_server_error(service: Service) -> None:
    schema = schemathesis.openapi.from_url(f"{service.address}/openapi.json")
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        def every_case(case: Any) -> None:
            case.call_and_validate(checks=CHECKS, headers={"X-API-Key": service.key})

        every_case()
        tried += 1
    assert tried == 20


async def test_document_shows_how_to_ask(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    body = document["paths"]["/v1/runs"]["post"]["requestBody"]["content"]["application/json"]
    assert (await client.post("/v1/runs", json=body["example"])).status_code == 404  # its channel
    assert set(document["components"]["securitySchemes"]) == {"ApiKey", "Bearer"}
    assert "security" not in document["paths"]["/livez"]["get"]


async def test_health_and_metrics_need_no_key_and_tell_no_names(service: Service) -> None:
    async with httpx.AsyncClient(base_url=service.address, trust_env=False) as anybody:
        assert (await anybody.get("/livez")).text == "ok\n"
        assert (await anybody.get("/readyz")).text == "ok\n"
        metrics = (await anybody.get("/metrics")).text
    assert 'ytempire_http_requests_total{method="GET",route="/livez",status="200"}' in metrics
    assert "tests" not in metrics


async def test_slow_body_is_cut_off(pool: Pool, tmp_path: Path) -> None:
    sealing = SecretKeys({"k": secrets.token_bytes(32)})
    web = Web(
        pool=pool,
        sealing=sealing,
        hourly=HourlyLimits(pool),
        links=PreviewLinks(sealing),
        store=ObjectStore(tmp_path.as_uri()),
        announcer=Announcer(pool),
        tasks={},
        limits=Limits(body_seconds=0.05),
    )

    async def never() -> Any:
        yield b"{"
        await asyncio.Event().wait()

    async with transaction(pool) as connection:
        made = await create_key(connection, web.sealing, name="k", scopes=["runs:write"])
    transport = httpx.ASGITransport(app=make_web(web))
    async with httpx.AsyncClient(transport=transport, base_url="http://web") as caller:
        answer = await caller.post(
            "/v1/runs",
            content=never(),
            headers={"X-API-Key": made.key, "content-type": "application/json"},
        )
    problem(answer, 408)


async def test_database_of_another_revision_is_not_ready(
    client: httpx.AsyncClient, stored: Pool
) -> None:
    revision = await stored.fetchval("UPDATE alembic_version SET version_num = '1' RETURNING '1'")
    try:
        assert revision in problem(await client.get("/readyz"), 503)["detail"]
    finally:
        await stored.execute("UPDATE alembic_version SET version_num = $1", head_revision())


async def test_two_servers_share_one_limit_and_a_stopped_one_gives_back(
    database_url: str, make_data_dir: Callable[[], Path]
) -> None:
    folder = make_data_dir()
    key = key_of(database_url, folder, "k", "--scope", "runs:read", "--rate-limit=40")["key"]
    statuses: list[int] = []
    with serving(database_url, folder) as first:
        with serving(database_url, folder) as second:
            async with httpx.AsyncClient(headers={"X-API-Key": key}, trust_env=False) as caller:
                for number in range(30):
                    address = first if number % 2 else second
                    statuses.append((await caller.get(f"{address}/v1/runs")).status_code)
        async with httpx.AsyncClient(headers={"X-API-Key": key}, trust_env=False) as caller:
            answers = [await caller.get(f"{first}/v1/runs") for _ in range(15)]
            statuses += [answer.status_code for answer in answers]
    assert (statuses.count(200), statuses.count(429)) == (40, 5)


async def test_signed_request_does_not_need_a_key(service: Service) -> None:
    answer = service.signed(run_body(), message_id="alone", path="/webhooks/line")
    assert answer.status_code == 202, answer.text


async def test_secret_that_cannot_be_opened_shuts_out_its_own_key_only(
    service: Service, stored: Pool
) -> None:
    key_of(
        service.database_url, service.data_dir, "a-lost", "--scope", "runs:read", "--signing-secret"
    )
    await stored.execute(
        "UPDATE api_keys SET signing_secrets = jsonb_set(signing_secrets, '{0,key}', '\"gone\"'),"
        " created_at = created_at - interval '1 day' WHERE name = 'a-lost'"
    )
    answer = await asyncio.to_thread(service.signed, run_body(), message_id="not-lost")
    assert answer.status_code == 202, answer.text
