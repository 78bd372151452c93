"""What the queue does looks at as little of the table with a backlog as without.

Counted in pages of the table and its indexes, not in time.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from db.pool import acquired

ROWS = 10_000  # some 300 pages of the table, and as many of its indexes
QUEUES = ["default", "render", "upload"]
# An empty queue takes up to 30; every index that is a level deeper adds a few.
MOST_PAGES = 90
PLANS_SETTLED = 8  # a session plans anew a few times before it keeps its plans

FILLS = {
    "nothing": "SELECT $1::integer, $2::text[]",
    "ready": """
        INSERT INTO queue.job_queue (job_type, queue_name, priority)
        SELECT 't', ($2::text[])[1 + n % 3], 5 + n % 3 FROM generate_series(1, $1::integer) AS n""",
    "future": """
        INSERT INTO queue.job_queue (job_type, queue_name, scheduled_for)
        SELECT 't', ($2::text[])[1 + n % 3], now() + make_interval(hours => n)
        FROM generate_series(1, $1::integer) AS n""",
    "blocked": """
        WITH busy AS (
            INSERT INTO queue.job_queue (job_type, lock, status, worker_id, started_at)
            SELECT 't', 'lock-' || n, 'processing', 1, now() FROM generate_series(0, 49) AS n)
        INSERT INTO queue.job_queue (job_type, queue_name, lock, priority, blocked)
        SELECT 't', ($2::text[])[1 + n % 3], 'lock-' || (n % 50), 1, true
        FROM generate_series(1, $1::integer) AS n""",
    "finished": """
        INSERT INTO queue.job_queue (job_type, queue_name, status, completed_at)
        SELECT 't', ($2::text[])[1 + n % 3], 'completed', now()
        FROM generate_series(1, $1::integer) AS n""",
}


class Session:
    """A worker's session, whose plans stay as they were made, and what each step looks at."""

    def __init__(self, connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
        self.connection = connection
        self.pool = pool

    async def fetch(self) -> asyncpg.Record:
        row = await self.connection.fetchrow(
            "SELECT (f.job).id, (f.job).claim, (f.job).started_at "
            "FROM queue.job_fetch($1, 2, false) AS f",
            QUEUES,
        )
        assert row["id"] is not None
        return row

    async def end(self, run: asyncpg.Record) -> None:
        status = await self.connection.fetchval(
            """SELECT queue.job_end($1, $2, 2, $3, 'completed', NULL, NULL, NULL, NULL, NULL, NULL,
                                    false)""",
            *run,
        )
        assert status == "completed"

    async def call(self, function: str) -> None:
        await self.connection.execute(f"SELECT queue.{function}")

    async def insert(self, lock: str | None = None) -> None:
        await self.connection.execute(
            "INSERT INTO queue.job_queue (job_type, lock) VALUES ('t', $1)", lock
        )

    async def pages(self, step: Callable[[], Awaitable[Any]]) -> tuple[int, Any]:
        """How many pages of the job queue the step looked at, triggers included; its result."""
        before = await self._touched()
        result = await step()
        return await self._touched() - before, result

    async def _touched(self) -> int:
        await self.connection.execute("SELECT pg_stat_force_next_flush()")
        return await self.pool.fetchval(
            """SELECT heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read
               FROM pg_statio_user_tables WHERE relid = 'queue.job_queue'::regclass"""
        )

    async def every_step(self) -> dict[str, int]:
        """Pages a step, of all that a worker and a client do again and again."""
        seen = {}
        seen["insert"], _ = await self.pages(self.insert)
        seen["insert with a lock"], _ = await self.pages(lambda: self.insert("lock-7"))
        seen["fetch"], run = await self.pages(self.fetch)
        seen["end"], _ = await self.pages(lambda: self.end(run))
        for function in (
            "job_release_strays(2, '{}', '{}')",
            "job_rescue()",
            "job_promote_due(100)",
            "job_next_due_seconds()",
            "job_heal_locks(NULL, 5)",
        ):
            seen[function], _ = await self.pages(lambda function=function: self.call(function))
        return seen


@pytest.fixture
async def session(pool):
    """One that has made its plans, each step done a few times, in a queue without a backlog."""
    # Its pages would be counted, and its statistics make new plans.
    await pool.execute("ALTER TABLE queue.job_queue SET (autovacuum_enabled = off)")
    await pool.execute(
        """INSERT INTO queue.job_workers (last_heartbeat)
           SELECT now() + interval '1 day' FROM generate_series(1, 2)"""
    )
    async with acquired(pool) as connection:
        yield Session(connection, pool)


async def fill(pool: asyncpg.Pool, backlog: str, *, vacuum: bool) -> None:
    async with acquired(pool) as connection:
        if vacuum:
            await connection.execute(FILLS[backlog], ROWS, QUEUES)
            await connection.execute("VACUUM ANALYZE queue.job_queue")
        else:
            # As if vacuum had passed since the blocked ones were marked: without its dead rows,
            # and without the new plans that it would bring.
            async with connection.transaction():
                await connection.execute("SET LOCAL session_replication_role = replica")
                await connection.execute(FILLS[backlog], ROWS, QUEUES)
        await connection.execute("SELECT pg_stat_force_next_flush()")  # or it comes out later


async def settle(session: Session) -> None:
    for _ in range(PLANS_SETTLED):
        await session.every_step()


@pytest.mark.parametrize("backlog", FILLS)
async def test_few_pages_are_looked_at_whatever_the_backlog(pool, session, backlog):
    await fill(pool, backlog, vacuum=True)
    await settle(session)
    seen = await session.every_step()
    assert max(seen.values()) <= MOST_PAGES, seen


@pytest.mark.parametrize("backlog", ["ready", "blocked", "finished"])
@pytest.mark.parametrize("at_first", ["nothing", "future", "finished"])
async def test_plans_made_before_the_backlog_came_serve_it_too(pool, session, at_first, backlog):
    """An index that is empty when a plan is made is the cheapest way to anything."""
    await fill(pool, at_first, vacuum=True)
    await settle(session)
    await fill(pool, backlog, vacuum=False)
    await session.every_step()  # the first one finds rows that no vacuum has seen
    seen = await session.every_step()
    assert max(seen.values()) <= MOST_PAGES, seen


async def test_vacuum_clears_the_way_of_fetches_in_a_large_backlog(pool, session):
    """Few pages of the table are touched then, and vacuum would leave the indexes as they are."""
    await pool.execute(
        "INSERT INTO queue.job_queue (job_type) SELECT 't' FROM generate_series(1, $1::integer)",
        80_000,
    )
    await pool.execute("VACUUM ANALYZE queue.job_queue")

    async def pages() -> int:
        return min([(await session.pages(session.fetch))[0] for _ in range(PLANS_SETTLED)])

    before = await pages()
    for _ in range(1000):
        await session.fetch()
    walked_over = await pages()
    await pool.execute("VACUUM queue.job_queue")
    assert walked_over > before + 2
    assert await pages() <= before


async def test_vacuum_is_due_after_a_number_of_dead_rows_not_a_share(pool):
    """Every fetch walks over what the fetches since the last vacuum have left."""
    options = dict(
        option.split("=")
        for option in await pool.fetchval(
            "SELECT reloptions FROM pg_class WHERE oid = 'queue.job_queue'::regclass"
        )
    )
    assert float(options["autovacuum_vacuum_scale_factor"]) == 0
    assert int(options["autovacuum_vacuum_threshold"]) <= 10_000
