"""One server process for the tests of a module, with keys of every kind."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from db.pool import Pool, open_pool
from tests.integration.workers.runs import add_channel
from tests.services.postgres import PostgresServer
from tests.services.web import key_of, serving
from workers.signatures import sign

SCOPES = [
    part for scope in ("runs:write", "runs:read", "jobs:write", "jobs:read")
    for part in ("--scope", scope)
]  # fmt: skip


@dataclass(frozen=True)
class Service:
    """A running server, its database, and who may speak to it."""

    address: str
    database_url: str
    data_dir: Path
    key: str
    reader: str
    signing_secret: str

    def signed(self, body: bytes, *, message_id: str, path: str = "/v1/runs") -> httpx.Response:
        headers = sign(
            self.signing_secret, message_id=message_id, at=datetime.now(UTC), body=body.decode()
        )
        headers["content-type"] = "application/json"
        return httpx.post(self.address + path, content=body, headers=headers, timeout=30)


@pytest.fixture(scope="module")
def service(
    postgres_server: PostgresServer, make_data_dir: Callable[[], Path]
) -> Iterator[Service]:
    data_dir = make_data_dir()
    with postgres_server.database() as url:
        asyncio.run(_prepare(url))
        everything = key_of(
            url, data_dir, "all", *SCOPES, "--signing-secret", "--rate-limit=100000"
        )
        reader = key_of(url, data_dir, "reader", "--scope", "runs:read")
        with serving(url, data_dir, YTEMPIRE_CALLBACK_ALLOW="public") as address:
            yield Service(
                address, url, data_dir, everything["key"], reader["key"],
                everything["signing_secret"],
            )  # fmt: skip


async def _prepare(url: str) -> None:
    pool = await open_pool(url)
    try:
        await add_channel(pool)
    finally:
        await pool.close()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=service.address, headers={"X-API-Key": service.key}, timeout=60, trust_env=False
    ) as opened:
        yield opened


@pytest.fixture
async def stored(service: Service) -> AsyncIterator[Pool]:
    """A pool on the server's database."""
    pool = await open_pool(service.database_url, max_size=2)
    try:
        yield pool
    finally:
        await pool.close()


def run_body(**more: Any) -> bytes:
    return json.dumps(
        {"channel": "tests", "topic": "Ice", "facts": ["Ice floats."], **more}
    ).encode()
