"""Fetch against backlog: is taking the next job as quick with a million rows as with none?

    .venv/bin/python -m benchmarks.queue_flat [--rows 1000000] [--samples 2000] [--pg 18]

Starts a PostgreSQL of its own, fills one database a scenario and prints the quantiles of a fetch.
Each sample enters one job (by defer and by plain INSERT in turn), fetches one and finishes it, so
that rows enter, become due and leave while it measures. The issue allows twice the p99 of the empty
queue.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

import asyncpg

from db.pool import open_pool
from tests.services.postgres import PostgresServer, SessionFolder
from workers.queue.app import QueueApp
from workers.queue.connector import JobQueueConnector
from workers.queue.outcomes import Finish, ending_arguments

QUEUES = ["default", "render", "upload"]
Fill = Callable[[asyncpg.Connection, int], Awaitable[object]]


async def fill_nothing(connection: asyncpg.Connection, rows: int) -> None:
    """The empty queue: what the others are compared with."""


async def fill_ready(connection: asyncpg.Connection, rows: int) -> None:
    """Over three queues and three priorities."""
    await connection.execute(
        """INSERT INTO queue.job_queue (job_type, queue_name, priority, payload)
           SELECT 'noop', ($2::text[])[1 + n % 3], 5 + n % 3, jsonb_build_object('n', n)
           FROM generate_series(1, $1::integer) AS n""",
        rows,
        QUEUES,
    )


async def fill_future(connection: asyncpg.Connection, rows: int) -> None:
    """For later; a hundred a second become due while it measures."""
    await connection.execute(
        """INSERT INTO queue.job_queue (job_type, queue_name, scheduled_for)
           SELECT 'noop', ($2::text[])[1 + n % 3], now() + make_interval(secs => n / 100.0)
           FROM generate_series(1, $1::integer) AS n""",
        rows,
        QUEUES,
    )


async def fill_blocked(connection: asyncpg.Connection, rows: int) -> None:
    """Fifty locks held by running jobs, and everything else first in order but behind them."""
    # A heartbeat from tomorrow: nobody calls the owner of the running ones dead meanwhile.
    await connection.execute(
        """INSERT INTO queue.job_workers (name, last_heartbeat)
           VALUES ('busy', now() + interval '1 day')"""
    )
    await connection.execute(
        """INSERT INTO queue.job_queue (job_type, lock, status, worker_id, started_at, claim)
           SELECT 'noop', 'lock-' || n, 'processing', 1, now(), 1
           FROM generate_series(0, 49) AS n"""
    )
    await connection.execute(
        """INSERT INTO queue.job_queue (job_type, queue_name, lock, priority)
           SELECT 'noop', ($2::text[])[1 + n % 3], 'lock-' || (n % 50), 1
           FROM generate_series(1, $1::integer) AS n""",
        rows,
        QUEUES,
    )


async def fill_finished(connection: asyncpg.Connection, rows: int) -> None:
    """History nobody has pruned."""
    await connection.execute(
        """INSERT INTO queue.job_queue (job_type, queue_name, status, attempts, completed_at)
           SELECT 'noop', ($2::text[])[1 + n % 3], 'completed', 1, now()
           FROM generate_series(1, $1::integer) AS n""",
        rows,
        QUEUES,
    )


# The fill, and what the number of rows is divided by (the 20,000 blocked ones).
SCENARIOS: dict[str, tuple[Fill, int]] = {
    "empty": (fill_nothing, 1),
    "ready, 3 queues": (fill_ready, 1),
    "future": (fill_future, 1),
    "blocked, 50 locks": (fill_blocked, 50),
    "finished": (fill_finished, 1),
}


async def measure(url: str, samples: int) -> list[float]:
    """Seconds of each fetch, through the job manager, as a worker would."""
    pool = await open_pool(url, max_size=2)
    app = QueueApp(connector=JobQueueConnector(url, pool=pool))
    manager = app.job_manager
    times = []
    async with app.open_async():
        worker_id = await manager.register_worker()
        for n in range(samples):
            if n % 2:
                await app.configure_task("noop").defer_async()
            else:
                await pool.execute("INSERT INTO queue.job_queue (job_type) VALUES ('noop')")
            before = time.perf_counter()
            job = await manager.fetch_job(queues=QUEUES, worker_id=worker_id)
            times.append(time.perf_counter() - before)
            assert job is not None
            claim = manager.claim_of(job)
            await manager.connector.run_statement(
                "job_end", **claim.fence(), **ending_arguments(Finish())
            )
            manager.claims.remove(claim)
        await manager.unregister_worker(worker_id)
    await pool.close()
    return times


async def fill_database(url: str, name: str, rows: int) -> None:
    fill, divisor = SCENARIOS[name]
    connection = await asyncpg.connect(url)
    started = time.perf_counter()
    async with connection.transaction():
        await fill(connection, rows // divisor)
    await connection.execute("VACUUM ANALYZE queue.job_queue")
    await connection.close()
    print(f"{name}: filled in {time.perf_counter() - started:.1f} s", flush=True)


async def run(server: PostgresServer, rows: int, samples: int, rounds: int) -> None:
    databases = {name: server.url(server.create_database()) for name in SCENARIOS}
    for name, url in databases.items():
        await fill_database(url, name, rows)
    measured: dict[str, list[float]] = {name: [] for name in databases}
    for _ in range(rounds):  # interleaved, so that a noisy minute hits all alike
        for name, url in databases.items():
            measured[name] += await measure(url, samples // rounds)
    print(f"\n{'scenario':20} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'max ms':>8} {'x p99':>6}")
    reference = quantile(measured["empty"], 0.99)
    for name, times in measured.items():
        p99 = quantile(times, 0.99)
        print(
            f"{name:20} {statistics.median(times) * 1e3:8.3f} {quantile(times, 0.95) * 1e3:8.3f} "
            f"{p99 * 1e3:8.3f} {max(times) * 1e3:8.3f} {p99 / reference:6.2f}"
        )


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--pg", type=int, default=18)
    options = parser.parse_args()
    folder = SessionFolder()
    try:
        server = PostgresServer(folder.path, "bench")
        server.start(options.pg)
        asyncio.run(run(server, options.rows, options.samples, options.rounds))
    finally:
        folder.remove()


if __name__ == "__main__":
    main()
