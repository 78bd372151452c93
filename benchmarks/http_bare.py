"""What `benchmarks.http` measures against: FastAPI, one INSERT a request, nothing else.

python -m benchmarks.http_bare DATABASE_URL
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from db.pool import open_pool

TABLE = """
CREATE TABLE IF NOT EXISTS bare_triggers (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    channel text NOT NULL, topic text, facts text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now())"""
INSERT = "INSERT INTO bare_triggers (channel, topic, facts) VALUES ($1, $2, $3) RETURNING id"


class Trigger(BaseModel):
    """The same body that ytempire is sent."""

    channel: str
    topic: str | None = None
    facts: list[str] = []


def make_bare(url: str) -> FastAPI:
    """The application; its table is made when it starts."""
    opened: dict[str, Any] = {}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        opened["pool"] = await open_pool(url, min_size=10, max_size=10)
        async with opened["pool"].acquire() as connection:
            await connection.execute(TABLE)
        yield
        await opened["pool"].close()

    app = FastAPI(lifespan=lifespan)

    @app.post("/bare", status_code=202)
    async def post(trigger: Trigger) -> dict[str, int]:
        pool: asyncpg.Pool = opened["pool"]
        return {"id": await pool.fetchval(INSERT, trigger.channel, trigger.topic, trigger.facts)}

    return app


async def main(url: str) -> None:
    """Serve on a free port and say which, as `ytempire serve` does."""
    config = uvicorn.Config(
        make_bare(url), http="httptools", ws="none", log_config=None, access_log=False
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
