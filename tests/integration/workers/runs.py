"""Runs and channels for tests that speak to the database alone."""

from uuid import UUID

from db.pool import Pool, transaction
from db.repositories.channels import ChannelRow
from workers.channels import NewChannel, add_local_channel
from workers.runs import RunRequest, Started, start_run_once


async def add_channel(pool: Pool, name: str = "tests") -> ChannelRow:
    async with transaction(pool) as connection:
        return await add_local_channel(connection, NewChannel(name=name, resolution="360p"))


async def begin(pool: Pool, *, key: str | None = None, channel: str = "tests") -> Started:
    request = RunRequest(channel=channel, topic="Ice", facts=("Ice floats.",))
    return await start_run_once(pool, request, idempotency_key=key)


async def value(pool: Pool, query: str, *arguments: object) -> object:
    return await pool.fetchval(query, *arguments)


async def status(pool: Pool, run: UUID) -> object:
    return await value(pool, "SELECT status FROM workflow_executions WHERE id = $1", run)
