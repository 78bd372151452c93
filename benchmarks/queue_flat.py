"""Fetch against backlog: is taking the next job as quick with a million rows as with none?

    .venv/bin/python -m benchmarks.queue_flat [--rows 1000000] [--samples 1000] [--rounds 10]

Starts a PostgreSQL of its own, fills one database a scenario, and lets one worker after another
serve them, round by round. Each sample enters one job (by defer and by plain INSERT in turn),
fetches one and ends it, so that rows enter, become due and leave while it measures; the worker's
own sweep runs meanwhile. The issue allows twice the p99 of the empty queue.

Three measures of a fetch: the time a worker waits for it; the CPU time of the server's process,
which other work on the machine disturbs less; and the pages it looks at, which nothing disturbs. A
ratio compares a scenario with the empty queue of the same round; its spread is that over the
rounds. What a worker's first fetch costs (plans made, caches filled) is a column of its own.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from db.pool import Pool, open_pool
from tests.services.postgres import PostgresServer, SessionFolder
from workers.queue.app import QueueApp
from workers.queue.connector import JobQueueConnector
from workers.queue.outcomes import Finish, ending_arguments

# What five tables of a million rows deserve, and PostgreSQL's own pause between vacuums. Durability
# stays off, as in the tests: waiting for a disk, alike in all scenarios, would hide the rest.
SETTINGS = {"shared_buffers": "2GB", "max_wal_size": "4GB", "autovacuum_naptime": "1min"}
WARM_UP_SECONDS = 3.5  # three sweeps
PAGES_EVERY = 20
PLANS_SETTLED = 8  # a session reads catalogs while it still plans
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


@dataclass(frozen=True, slots=True)
class Sample:
    """One fetch: milliseconds waited, and milliseconds of CPU in the server's process."""

    waited: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Round:
    """What one worker saw of one database."""

    first: float
    samples: list[Sample]
    pages: list[int]

    def waited(self, share: float) -> float:
        """A quantile of the milliseconds waited."""
        return quantile([sample.waited for sample in self.samples], share)

    def cpu(self, share: float) -> float:
        """A quantile of the milliseconds of CPU."""
        return quantile([sample.cpu for sample in self.samples], share)


async def measure(url: str, samples: int, *, warm_up: float = WARM_UP_SECONDS) -> Round:
    """Fetch through the job manager, as a worker would, after `warm_up` seconds of the same."""
    pool = await open_pool(url, max_size=1)
    watcher = await asyncpg.connect(url)
    app = QueueApp(connector=JobQueueConnector(url, pool=pool))
    async with app.open_async():
        worker_id = await app.job_manager.register_worker()
        server_process = await pool.fetchval("SELECT pg_backend_pid()")
        first = (await _sample(app, pool, 0, worker_id, server_process)).waited
        begun = time.monotonic()
        while time.monotonic() - begun < warm_up:
            for n in range(10):
                await _sample(app, pool, n, worker_id, server_process)
        for _ in range(PLANS_SETTLED):
            await _pages(watcher, worker_id)
        measured = Round(first, [], [])
        for n in range(samples):
            measured.samples.append(await _sample(app, pool, n, worker_id, server_process))
            if n % PAGES_EVERY == 0:
                measured.pages.append(await _pages(watcher, worker_id))
        await app.job_manager.unregister_worker(worker_id)
    await watcher.close()
    await pool.close()
    return measured


async def _sample(app: QueueApp, pool: Pool, n: int, worker_id: int, server_process: int) -> Sample:
    manager = app.job_manager
    if n % 2:
        await app.configure_task("noop").defer_async()
    else:
        await pool.execute("INSERT INTO queue.job_queue (job_type) VALUES ('noop')")
    cpu = _cpu_milliseconds(server_process)
    before = time.perf_counter()
    job = await manager.fetch_job(queues=QUEUES, worker_id=worker_id)
    waited = (time.perf_counter() - before) * 1e3
    cpu = _cpu_milliseconds(server_process) - cpu
    assert job is not None
    claim = manager.claim_of(job)
    await manager.connector.run_statement("job_end", **claim.fence(), **ending_arguments(Finish()))
    manager.claims.remove(claim)
    return Sample(waited, cpu)


def _cpu_milliseconds(process: int) -> float:
    """Of a process, as Linux' scheduler has counted it, in nanoseconds, when it last slept."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e6


async def _pages(connection: asyncpg.Connection, worker_id: int) -> int:
    """How many pages of tables and indexes a fetch looks at; the fetch is rolled back."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        text = await connection.fetchval(
            "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT queue.job_fetch($1, $2, false)",
            QUEUES,
            worker_id,
        )
    finally:
        await transaction.rollback()
    plan = json.loads(text)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


async def fill_database(url: str, name: str, rows: int) -> None:
    fill, divisor = SCENARIOS[name]
    connection = await asyncpg.connect(url)
    started = time.perf_counter()
    async with connection.transaction():
        await fill(connection, rows // divisor)
    await connection.execute("VACUUM ANALYZE queue.job_queue")
    await connection.execute("CHECKPOINT")
    await connection.close()
    print(f"{name}: filled in {time.perf_counter() - started:.1f} s", flush=True)


async def run(server: PostgresServer, rows: int, samples: int, rounds: int) -> None:
    databases = {name: server.url(server.create_database()) for name in SCENARIOS}
    for name, url in databases.items():
        await fill_database(url, name, rows)
    os.sync()
    measured: dict[str, list[Round]] = {name: [] for name in databases}
    for _ in range(rounds):  # interleaved, in another order each time
        for name in random.sample(list(databases), len(databases)):
            measured[name].append(await measure(databases[name], samples))
        row = "  ".join(f"{name} {seen[-1].waited(0.99):.2f}" for name, seen in measured.items())
        print(f"p99 ms: {row}; load {os.getloadavg()[0]:.1f}", flush=True)
    print(
        f"\n{'':18} {'first':>6} {'p50 ms':>7} {'p95':>7} {'p99':>7} {'p99 against empty':>20}"
        f" {'cpu p50':>8} {'cpu p99':>8} {'cpu p99 against':>20} {'pages p50':>9} {'p99':>5}"
    )
    for name, seen in measured.items():
        samples_seen = [sample for part in seen for sample in part.samples]
        waited = [sample.waited for sample in samples_seen]
        cpu = [sample.cpu for sample in samples_seen]
        pages = [float(count) for part in seen for count in part.pages]
        pairs = list(zip(seen, measured["empty"], strict=True))
        print(
            f"{name:18} {statistics.median(part.first for part in seen):6.1f} "
            f"{quantile(waited, 0.5):7.2f} {quantile(waited, 0.95):7.2f} "
            f"{quantile(waited, 0.99):7.2f} "
            f"{spread([a.waited(0.99) / b.waited(0.99) for a, b in pairs]):>20} "
            f"{quantile(cpu, 0.5):8.2f} {quantile(cpu, 0.99):8.2f} "
            f"{spread([a.cpu(0.99) / b.cpu(0.99) for a, b in pairs]):>20} "
            f"{quantile(pages, 0.5):9.0f} {quantile(pages, 0.99):5.0f}"
        )


def spread(values: list[float]) -> str:
    """The median, and the least and the greatest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--pg", type=int, default=18)
    options = parser.parse_args()
    folder = SessionFolder()
    try:
        server = PostgresServer(folder.path, "bench")
        server.start(options.pg, SETTINGS)
        asyncio.run(run(server, options.rows, options.samples, options.rounds))
    finally:
        folder.remove()


if __name__ == "__main__":
    main()
