"""Runs cancelled, retried and rejected over HTTP."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from db.pool import Pool
from pipeline.domain import StageName
from tests.integration.web.conftest import Service, run_body
from tests.integration.workers.runs import bring
from tests.services.web import problem

NOWHERE = "00000000-0000-4000-8000-000000000000"
DECISIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("cancel", {}),
    ("retry", {}),
    ("reject", {"reason": "dull"}),
)


@pytest.fixture
async def run(client: httpx.AsyncClient) -> UUID:
    accepted = await client.post("/v1/runs", content=run_body())
    return UUID(accepted.json()["execution_id"])


async def test_run_is_cancelled_retried_and_cancelled_again(
    client: httpx.AsyncClient, run: UUID
) -> None:
    cancelled = await client.post(f"/v1/runs/{run}/cancel", json={"reason": "too late"})
    assert cancelled.status_code == 200, cancelled.text
    assert cancelled.json()["status"] == "cancelled"
    assert cancelled.json()["error"] == "trend_pick: cancelled by http:all: too late"
    assert "has ended" in problem(await client.post(f"/v1/runs/{run}/cancel"), 409)["detail"]

    retried = await client.post(f"/v1/runs/{run}/retry", json={"from_step": "trend_pick"})
    assert (retried.status_code, retried.json()["status"]) == (200, "queued"), retried.text
    assert "cancel it first" in problem(await client.post(f"/v1/runs/{run}/retry"), 409)["detail"]
    again = await client.post(f"/v1/runs/{run}/cancel")
    assert again.json()["error"] == "trend_pick: cancelled by http:all"


async def test_waiting_run_is_rejected_to_a_step(
    client: httpx.AsyncClient, stored: Pool, run: UUID
) -> None:
    assert (
        "does not wait"
        in problem(await client.post(f"/v1/runs/{run}/reject", json={"reason": "dull"}), 409)[
            "detail"
        ]
    )
    await bring(stored, run, StageName.UPLOAD, status="waiting", step="waiting")
    answer = await client.post(
        f"/v1/runs/{run}/reject", json={"reason": "dull", "to_step": "script"}
    )
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (shown["status"], shown["current_step"]) == ("queued", "script")
    assert shown["rejections"][0]["reason"] == "dull"
    assert shown["rejections"][0]["by"] == "http:all"


@pytest.mark.parametrize(("verb", "body"), DECISIONS)
async def test_unknown_run_is_404(
    client: httpx.AsyncClient, verb: str, body: dict[str, Any]
) -> None:
    problem(await client.post(f"/v1/runs/{NOWHERE}/{verb}", json=body), 404)


@pytest.mark.parametrize(("verb", "body"), DECISIONS)
async def test_decision_needs_a_key_that_may_write(
    service: Service, client: httpx.AsyncClient, run: UUID, verb: str, body: dict[str, Any]
) -> None:
    path = f"/v1/runs/{run}/{verb}"
    problem(await client.post(path, json=body, headers={"X-API-Key": service.reader}), 403)
    problem(await client.post(path, json=body, headers={"X-API-Key": "yte_no"}), 401)


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("cancel", '{"surprise": 1}'),
        ("cancel", '{"reason": ""}'),
        ("cancel", '{"reason": "\\u0000"}'),
        ("cancel", "[]"),
        ("retry", '{"from_step": "nowhere"}'),
        ("retry", '{"from_step": 3}'),
        ("reject", ""),
        ("reject", "{}"),
        ("reject", '{"reason": 5}'),
        ("reject", '{"reason": "x", "to_step": null, "y": 1}'),
    ],
)
async def test_body_that_cannot_be_used_is_422_and_changes_nothing(
    client: httpx.AsyncClient, run: UUID, verb: str, body: str
) -> None:
    problem(await client.post(f"/v1/runs/{run}/{verb}", content=body), 422)
    assert (await client.get(f"/v1/runs/{run}")).json()["status"] == "queued"
