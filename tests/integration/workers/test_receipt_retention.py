"""Receipts of requests go after a week, in batches, and the hours of keys after two days."""

from db.pool import Pool, transaction
from workers.keys import create_key
from workers.receipt_retention import prune_receipts
from workers.secrets import SecretKeys


async def test_old_receipts_and_hours_go_and_young_ones_stay(pool: Pool) -> None:
    async with transaction(pool) as connection:
        sealing = SecretKeys({"k": b"k" * 32})
        made = await create_key(connection, sealing, name="k", scopes=["runs:write"])
    await pool.execute(
        "INSERT INTO webhook_receipts SELECT $1, 'idempotency_key', '/v1/runs', n::text,"
        " repeat('a', 64), 202, '{}', now() - n * interval '1 day' FROM generate_series(0, 19) n",
        made.id,
    )
    await pool.execute(
        "INSERT INTO api_key_usage SELECT $1, date_trunc('hour', now()) - n * interval '1 day', 5"
        " FROM generate_series(0, 4) n",
        made.id,
    )
    assert await prune_receipts(pool, batch=4) == 13
    kept = await pool.fetch("SELECT idempotency_key FROM webhook_receipts")
    assert {row["idempotency_key"] for row in kept} == {str(n) for n in range(7)}
    assert await pool.fetchval("SELECT count(*) FROM api_key_usage") == 2
    assert await prune_receipts(pool) == 0
