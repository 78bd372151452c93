"""Churn: does the table grow, and fetch slow down, as jobs pass through?

    .venv/bin/python -m benchmarks.queue_bloat [--jobs 200000] [--live 1000] [--pg 18]

Starts a PostgreSQL of its own, autovacuum on (every 10 s), keeps `--live` jobs waiting, and lets
`--jobs` others be enqueued, fetched, ended and pruned meanwhile. Prints the sizes of the table and
of its indexes as it goes, what they are once rebuilt (what the same rows need at least), and the
quantiles of a fetch before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from datetime import timedelta

import asyncpg

from benchmarks.queue_flat import Round, measure
from db.pool import Pool, open_pool
from db.statements import load
from tests.services.postgres import PostgresServer, SessionFolder
from workers.queue.outcomes import Finish, ending_arguments
from workers.queue.retention import prune

STATEMENTS = load("job_queue")
LANES = 6
BATCH = 50

SIZES = """
SELECT c.relname AS name, pg_relation_size(c.oid) / 1024 AS kib FROM pg_class c
WHERE c.oid = 'queue.job_queue'::regclass
   OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'queue.job_queue'::regclass)
ORDER BY c.relkind DESC, c.relname"""


async def sizes(connection: asyncpg.Connection) -> dict[str, int]:
    """KiB of the table and of each of its indexes."""
    return {row["name"]: row["kib"] for row in await connection.fetch(SIZES)}


async def lane(pool: Pool, worker_id: int, jobs: int, queue: str) -> None:
    """Put jobs in and take them out again, as a worker does, in a queue of its own."""
    done = 0
    while done < jobs:
        async with pool.acquire() as connection:
            await connection.execute(
                """INSERT INTO queue.job_queue (job_type, queue_name, payload)
                   SELECT 'noop', $1, jsonb_build_object('n', n)
                   FROM generate_series(1, $2::integer) AS n""",
                queue,
                BATCH,
            )
            for _ in range(BATCH):
                row = await STATEMENTS["job_fetch"].one(
                    connection, queues=[queue], worker_id=worker_id, busy=False
                )
                await STATEMENTS["job_end"].one(
                    connection,
                    id=row["id"],
                    claim=row["claim"],
                    worker_id=worker_id,
                    started_at=row["started_at"],
                    **ending_arguments(Finish()),
                )
        done += BATCH


async def pruner(pool: Pool) -> None:
    """Retention in a hurry: what has ended leaves within a second or so."""
    while True:
        await asyncio.sleep(1)
        await prune(pool, older_than=timedelta(0))


async def churn(pool: Pool, connection: asyncpg.Connection, jobs: int) -> list[dict[str, int]]:
    """The sizes at each quarter."""
    seen = []
    pruning = asyncio.create_task(pruner(pool))
    for quarter in range(4):
        worker = await STATEMENTS["worker_register"].one(
            connection, name="lane", host="bench", pid=1, queues=None
        )
        started = time.perf_counter()
        share = jobs // 4 // LANES
        await asyncio.gather(
            *(lane(pool, worker["worker_id"], share, f"lane-{n}") for n in range(LANES))
        )
        took = time.perf_counter() - started
        seen.append(await sizes(connection))
        print(
            f"after {(quarter + 1) * jobs // 4}: table {seen[-1]['job_queue']} KiB, indexes "
            f"{sum(seen[-1].values()) - seen[-1]['job_queue']} KiB "
            f"({jobs / 4 / took:.0f} jobs a second)",
            flush=True,
        )
    pruning.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await pruning
    await prune(pool, older_than=timedelta(0))
    return seen


def tell(name: str, seen: Round) -> None:
    print(
        f"fetch {name}: p50 {seen.waited(0.5):.2f} ms   p99 {seen.waited(0.99):.2f} ms   "
        f"max {seen.waited(1):.2f} ms",
        flush=True,
    )


async def run(server: PostgresServer, jobs: int, live: int, samples: int) -> None:
    url = server.url(server.create_database())
    connection = await asyncpg.connect(url)
    # Last in order, so that the live ones stay and what passes through is what is fetched.
    await connection.execute(
        """INSERT INTO queue.job_queue (job_type, queue_name, priority)
           SELECT 'noop', ($2::text[])[1 + n % 3], 9 FROM generate_series(1, $1::integer) AS n""",
        live,
        ["default", "render", "upload"],
    )
    await connection.execute("VACUUM ANALYZE queue.job_queue")
    tell("before", await measure(url, samples))
    before = await sizes(connection)
    pool = await open_pool(url, max_size=LANES + 2)
    seen = await churn(pool, connection, jobs)
    await pool.close()
    tell("after ", await measure(url, samples))
    await connection.execute("VACUUM FULL queue.job_queue")
    rebuilt = await sizes(connection)
    await connection.close()
    print(f"\n{'KiB':28} {'before':>8} {'half way':>9} {'after':>8} {'rebuilt':>8}")
    for name in before:
        print(f"{name:28} {before[name]:8} {seen[1][name]:9} {seen[-1][name]:8} {rebuilt[name]:8}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200_000)
    parser.add_argument("--live", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--pg", type=int, default=18)
    options = parser.parse_args()
    folder = SessionFolder()
    try:
        server = PostgresServer(folder.path, "bench")
        server.start(options.pg)
        asyncio.run(run(server, options.jobs, options.live, options.samples))
    finally:
        folder.remove()


if __name__ == "__main__":
    main()
