"""An outage: the database is stopped for a minute under busy workers. What is lost, when is it on?

    .venv/bin/python -m benchmarks.queue_outage [--down 60] [--workers 3] [--jobs 6000] [--crash]

Starts a PostgreSQL and worker processes of its own and has them work through short jobs (each
notes its start and its end) and chains (each enqueues the next and ends itself in one commit). Amid
it the server is stopped (--crash: as by a power cut), stays away, and is started again. Then it
waits for the last job and prints, by the database's clock counted from the moment it came up, when
the first end was written, when the first new job began and when the pace of before was reached,
and counts what is missing, what ran twice and what was completed without having run.
"""

from __future__ import annotations

import argparse
import asyncio
import time

import asyncpg

from benchmarks.queue_crew import Crew, mortal_server, prepared
from tests.services.queue_postgres import MortalServer

CHAINS, LINKS = 20, 50
WARM_UP_SECONDS = 5.0
PACE_WINDOW_SECONDS = 1.0
GIVE_UP_SECONDS = 600.0


async def fill(connection: asyncpg.Connection, jobs: int, seconds: float) -> None:
    await connection.execute(
        """INSERT INTO queue.job_queue (job_type, payload, max_attempts)
           SELECT 'work', jsonb_build_object('seconds', $2::float8), NULL
           FROM generate_series(1, $1::integer)""",
        jobs,
        seconds,
    )
    await connection.execute(
        """INSERT INTO queue.job_queue (job_type, payload, max_attempts, priority)
           SELECT 'chain', jsonb_build_object('n', $2::integer), NULL, 4
           FROM generate_series(1, $1::integer)""",
        CHAINS,
        LINKS,
    )


async def pace(connection: asyncpg.Connection, since: object, until: object) -> float:
    """Ends a second between two moments."""
    return await connection.fetchval(
        """SELECT count(*) / extract(epoch FROM $2::timestamptz - $1::timestamptz)::float8
           FROM queue.job_queue WHERE completed_at >= $1 AND completed_at < $2""",
        since,
        until,
    )


async def work_and_stop(url: str, server: MortalServer, options: argparse.Namespace, crew: Crew):
    """Until the server is gone; the pace before it went."""
    connection = await prepared(url)
    await fill(connection, options.jobs, options.seconds)
    for _ in range(options.workers):
        crew.start()
    while await connection.fetchval("SELECT count(*) FROM events") < options.workers * 4:
        await asyncio.sleep(0.1)
    begun = await connection.fetchval("SELECT clock_timestamp()")
    await asyncio.sleep(WARM_UP_SECONDS)
    now = await connection.fetchval("SELECT clock_timestamp()")
    before = await pace(connection, begun, now)
    running = await connection.fetchval(
        "SELECT count(*) FROM queue.job_queue WHERE status = 'processing'"
    )
    print(f"before: {before:.0f} jobs a second, {running} running when it stopped", flush=True)
    connection.terminate()
    (server.crash if options.crash else server.stop)()
    return before


async def drained(connection: asyncpg.Connection) -> float:
    """Seconds until nothing waits and nothing runs."""
    begun = time.monotonic()
    while await connection.fetchval(
        "SELECT count(*) FROM queue.job_queue WHERE status IN ('pending', 'processing')"
    ):
        if time.monotonic() - begun > GIVE_UP_SECONDS:
            print("gave up waiting for the rest")
            break
        await asyncio.sleep(0.25)
    return time.monotonic() - begun


async def resumed(connection: asyncpg.Connection, up: object, before: float) -> list[str]:
    """What happened when, in seconds since the server answered."""
    first_end, first_start = await connection.fetchrow(
        """SELECT (SELECT extract(epoch FROM min(completed_at) - $1::timestamptz)::float8
                   FROM queue.job_queue WHERE completed_at >= $1),
                  (SELECT extract(epoch FROM min(at) - $1::timestamptz)::float8
                   FROM events WHERE event = 'start' AND at >= $1)""",
        up,
    )
    paces = await connection.fetch(
        """SELECT s, (SELECT count(*) FROM queue.job_queue
                      WHERE completed_at >= $1::timestamptz + make_interval(secs => s)
                        AND completed_at < $1 + make_interval(secs => s + $2::float8)) AS jobs
           FROM generate_series(0, 120, 0.5) AS s""",
        up,
        PACE_WINDOW_SECONDS,
    )
    full = next((row["s"] for row in paces if row["jobs"] >= 0.9 * before), None)
    return [
        f"first end written after   {first_end:.2f} s",
        f"first new start after     {first_start:.2f} s",
        f"pace of before (90 %) from {full} s on",
    ]


async def lost(connection: asyncpg.Connection, jobs: int) -> list[str]:
    expected = jobs + CHAINS * LINKS
    row = await connection.fetchrow(
        """SELECT count(*) AS jobs, count(*) FILTER (WHERE status = 'completed') AS completed,
                  count(*) FILTER (WHERE attempts > 1) AS attempted_again,
                  sum(crashes) AS crashes
           FROM queue.job_queue"""
    )
    twice = await connection.fetchval(
        """SELECT count(*) FROM (SELECT job_id FROM events WHERE event = 'end'
                                 GROUP BY job_id HAVING count(*) > 1) AS again"""
    )
    without = await connection.fetchval(
        """SELECT count(*) FROM queue.job_queue j
           WHERE NOT EXISTS (SELECT FROM events e WHERE e.job_id = j.id AND e.event = 'end')"""
    )
    return [
        f"jobs: {row['jobs']} of {expected} there, {row['completed']} completed",
        f"lost: {expected - row['completed']}; completed without having run to the end: {without}",
        f"ran to the end twice: {twice}; needed another attempt: {row['attempted_again']}",
        f"taken for crashed: {row['crashes']}",
    ]


async def run(server: MortalServer, options: argparse.Namespace) -> None:
    url = server.url(server.create_database())
    crew = Crew(url, concurrency=options.concurrency)
    try:
        before = await work_and_stop(url, server, options, crew)
        await asyncio.sleep(options.down)
        server.go_on()
        connection = await asyncpg.connect(url)
        up = await connection.fetchval("SELECT pg_postmaster_start_time()")
        alive = sum(worker.poll() is None for worker in crew.workers)
        print(f"down for {options.down:g} s; {alive} of {options.workers} workers live", flush=True)
        seconds = await drained(connection)
        print(f"everything was done {seconds:.1f} s later\n")
        print(
            "\n".join(
                [*await resumed(connection, up, before), *await lost(connection, options.jobs)]
            )
        )
        await connection.close()
    finally:
        crew.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--down", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=6000)
    parser.add_argument("--seconds", type=float, default=0.05, help="what a short job takes")
    parser.add_argument("--crash", action="store_true")
    parser.add_argument("--pg", type=int, default=18)
    options = parser.parse_args()
    with mortal_server(options.pg) as server:
        asyncio.run(run(server, options))


if __name__ == "__main__":
    main()
