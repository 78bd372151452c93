"""API keys: who may come in, how often, and what is kept of them."""

import asyncio
import base64
import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.pool import Pool, transaction
from db.repositories.api_keys import ApiKeyRow, ApiKeys
from workers.keys import (
    HourlyLimits,
    KeyNameTaken,
    NewKey,
    check_key,
    create_key,
    rotate_key,
    signing_secrets,
)
from workers.secrets import SecretKeys

SEALING = SecretKeys({"k1": secrets.token_bytes(32)})


async def make(pool: Pool, name: str = "n8n", **options: Any) -> NewKey:
    async with transaction(pool) as connection:
        return await create_key(connection, SEALING, name=name, scopes=["runs:write"], **options)


async def check(pool: Pool, key: str) -> ApiKeyRow | None:
    async with transaction(pool) as connection:
        return await check_key(connection, key)


async def known(pool: Pool, key: str) -> ApiKeyRow:
    row = await check(pool, key)
    assert row is not None
    return row


async def test_key_opens_and_every_change_of_it_does_not(pool: Pool) -> None:
    made = await make(pool)
    row = await known(pool, made.key)
    assert (row.name, list(row.permissions)) == ("n8n", ["runs:write"])
    other = made.key[:-1] + ("A" if made.key[-1] != "A" else "B")
    for wrong in (other, made.key + " ", made.key.upper(), "", "yte__", "\x00", "\ud800", "é"):
        assert await check(pool, wrong) is None


async def test_revoked_and_expired_keys_do_not_open(pool: Pool) -> None:
    made = await make(pool)
    late = await make(pool, "late", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    async with transaction(pool) as connection:
        assert await ApiKeys(connection).mark_revoked(name="n8n")
        assert not await ApiKeys(connection).mark_revoked(name="n8n")
    assert await check(pool, made.key) is None
    assert await check(pool, late.key) is None


async def test_name_is_taken_while_its_key_is_in_use(pool: Pool) -> None:
    await make(pool)
    with pytest.raises(KeyNameTaken):
        await make(pool)
    async with transaction(pool) as connection:
        await ApiKeys(connection).mark_revoked(name="n8n")
    await make(pool)


async def test_table_holds_nothing_that_opens(pool: Pool) -> None:
    made = await make(pool, with_signing_secret=True)
    assert made.signing_secret is not None
    row = await pool.fetchval("SELECT to_jsonb(k)::text FROM api_keys k")
    secret_part = made.key.split("_", 2)[2]
    for canary in (secret_part, made.signing_secret, made.signing_secret.removeprefix("whsec_")):
        assert canary not in row
        assert base64.b64encode(canary.encode()).decode() not in row
        assert canary not in repr(made)


async def test_rotation_ends_the_key_and_keeps_one_former_signing_secret(pool: Pool) -> None:
    first = await make(pool, with_signing_secret=True)
    made = [first]
    for _ in range(2):
        async with transaction(pool) as connection:
            rotated = await rotate_key(connection, SEALING, name="n8n")
        assert rotated is not None
        made.append(rotated)
    assert await check(pool, made[0].key) is None
    assert await check(pool, made[1].key) is None
    row = await known(pool, made[2].key)
    assert row.id == first.id
    assert signing_secrets(SEALING, row) == [made[2].signing_secret, made[1].signing_secret]


async def test_rotation_of_an_unknown_key_is_none(pool: Pool) -> None:
    async with transaction(pool) as connection:
        assert await rotate_key(connection, SEALING, name="nobody") is None


@pytest.mark.parametrize("limit", [1, 7, 100])
async def test_limit_of_one_server_is_exact(pool: Pool, limit: int) -> None:
    row = await known(pool, (await make(pool, rate_limit=limit)).key)
    limits = HourlyLimits(pool)
    answers = await asyncio.gather(*(limits.admit(row) for _ in range(limit + 3)))
    refused = [answer for answer in answers if answer is not None]
    assert len(refused) == 3
    assert all(0 < seconds <= 3600 for seconds in refused)


async def test_limit_is_never_exceeded_over_servers_and_restarts(pool: Pool) -> None:
    row = await known(pool, (await make(pool, rate_limit=60)).key)
    admitted = 0
    for _ in range(4):
        servers = [HourlyLimits(pool) for _ in range(3)]
        answers = await asyncio.gather(*(servers[n % 3].admit(row) for n in range(24)))
        admitted += answers.count(None)
        for server in servers:
            await server.close()
    assert admitted == 60
    assert await pool.fetchval("SELECT used FROM api_key_usage") == 60


async def test_killed_server_loses_its_block_and_never_gives_more(pool: Pool) -> None:
    row = await known(pool, (await make(pool, rate_limit=1600)).key)
    assert await HourlyLimits(pool).admit(row) is None  # killed: 100 leased, one used
    survivor = HourlyLimits(pool)
    answers = [await survivor.admit(row) for _ in range(1600)]
    assert answers.count(None) == 1500


async def test_next_hour_has_its_own_limit(pool: Pool) -> None:
    row = await known(pool, (await make(pool, rate_limit=1)).key)
    assert await HourlyLimits(pool).admit(row) is None
    assert await HourlyLimits(pool).admit(row) is not None
    await pool.execute("UPDATE api_key_usage SET hour = hour - interval '1 hour'")
    assert await HourlyLimits(pool).admit(row) is None


async def test_use_is_remembered(pool: Pool) -> None:
    made = await make(pool)
    row = await known(pool, made.key)
    assert row.last_used_at is None
    await HourlyLimits(pool).admit(row)
    assert (await known(pool, made.key)).last_used_at is not None


async def test_envelope_of_another_row_does_not_open(pool: Pool) -> None:
    await make(pool, "one", with_signing_secret=True)
    two = await make(pool, "two", with_signing_secret=True)
    stolen = await pool.fetchval("SELECT signing_secrets FROM api_keys WHERE name = 'one'")
    await pool.execute(
        "UPDATE api_keys SET signing_secrets = $1 WHERE name = 'two'",
        json.loads(json.dumps(stolen)),
    )
    row = await known(pool, two.key)
    with pytest.raises(Exception, match="belongs to another row"):
        signing_secrets(SEALING, row)
