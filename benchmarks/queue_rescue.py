"""Rescue: how long until the jobs of a dead worker run again?

    .venv/bin/python -m benchmarks.queue_rescue [--kills 40] [--freezes 6] [--workers 4] [--pg 18]

Starts a PostgreSQL and worker processes of its own, all busy with jobs that take minutes. Then, one
at a time and at random moments, a worker is

- killed (kill -9): its session ends with it, and so does its lock;
- frozen (SIGSTOP): its session and its lock live on and its heartbeat stops, which is what the
  database sees of a host that has vanished from the network.

The time runs from the signal until the same job has started in another process, by the database's
clock. It asserts nothing; the promises are 5 s and 40 s.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import subprocess

import asyncpg

from benchmarks.queue_crew import Crew, mortal_server, prepared, told

KILL_PROMISE, FREEZE_PROMISE = 5.0, 40.0
JOB_SECONDS = 3600
GIVE_UP_SECONDS = 120.0

RUNNING = """
SELECT j.id, j.claim FROM queue.job_queue j JOIN queue.job_workers w ON w.id = j.worker_id
WHERE j.status = 'processing' AND w.pid = $1 AND w.stopped_at IS NULL
  AND EXISTS (SELECT FROM events e WHERE e.job_id = j.id AND e.pid = $1 AND e.event = 'start')"""

# A job has run again when another process has noted its start.
STARTED = """
SELECT e.job_id, extract(epoch FROM min(e.at) - $2)::float8 AS seconds FROM events e
WHERE e.job_id = ANY($1::uuid[]) AND e.pid <> $3 AND e.at > $2 GROUP BY e.job_id"""


async def hurt(
    connection: asyncpg.Connection, worker: subprocess.Popen[bytes], how: signal.Signals
) -> list[float]:
    """Seconds until each job of the worker ran elsewhere; empty if it had none."""
    jobs = [row["id"] for row in await connection.fetch(RUNNING, worker.pid)]
    moment = await connection.fetchval("SELECT clock_timestamp()")
    os.kill(worker.pid, how)
    waited = 0.0
    while waited < GIVE_UP_SECONDS:
        rows = await connection.fetch(STARTED, jobs, moment, worker.pid)
        if len(rows) == len(jobs):
            return [row["seconds"] for row in rows]
        await asyncio.sleep(0.1)
        waited += 0.1
    raise TimeoutError(f"{len(jobs) - len(rows)} of {len(jobs)} jobs did not run again")


async def occupied(connection: asyncpg.Connection, crew: Crew, concurrency: int) -> None:
    """Until every living worker is full and as many jobs again could be taken up elsewhere."""
    alive = [worker for worker in crew.workers if worker.poll() is None]
    while True:
        # A fresh set of crash counts: a job that crashed twice would run alone.
        await connection.execute("UPDATE queue.job_queue SET crashes = 0 WHERE crashes > 0")
        counts = [len(await connection.fetch(RUNNING, worker.pid)) for worker in alive]
        if all(count >= concurrency for count in counts):
            return
        await asyncio.sleep(0.1)


async def fill(connection: asyncpg.Connection, count: int) -> None:
    await connection.execute(
        """INSERT INTO queue.job_queue (job_type, payload)
           SELECT 'work', jsonb_build_object('seconds', $2::integer)
           FROM generate_series(1, $1::integer)""",
        count,
        JOB_SECONDS,
    )


async def run(
    url: str, options: argparse.Namespace, how: signal.Signals, times: int
) -> list[float]:
    """Hurt workers one after the other, each replaced at once, as a supervisor would."""
    connection = await prepared(url)
    crew = Crew(url, concurrency=options.concurrency)
    measured: list[float] = []
    try:
        # One job a place: whoever replaces the dead has room, and what runs again was rescued.
        await fill(connection, options.workers * options.concurrency)
        for _ in range(options.workers):
            crew.start()
        for _ in range(times):
            await occupied(connection, crew, options.concurrency)
            await asyncio.sleep(random.uniform(0.0, 2.0))
            victim = random.choice(crew.workers)
            crew.start()
            await hurt_and_replace(connection, crew, victim, how, measured)
    finally:
        crew.end()
        await connection.close()
    return measured


async def hurt_and_replace(
    connection: asyncpg.Connection,
    crew: Crew,
    victim: subprocess.Popen[bytes],
    how: signal.Signals,
    measured: list[float],
) -> None:
    spare = crew.workers[-1]
    while not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM queue.job_workers WHERE pid = $1)", spare.pid
    ):
        await asyncio.sleep(0.1)
    seconds = await hurt(connection, victim, how)
    measured += seconds
    print(f"{how.name} {victim.pid}: {', '.join(f'{s:.2f}' for s in seconds)} s", flush=True)
    os.kill(victim.pid, signal.SIGCONT)
    victim.kill()
    victim.wait()
    crew.workers.remove(victim)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--freezes", type=int, default=6)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--concurrency", type=int, default=2)
    parser.add_argument("--pg", type=int, default=18)
    options = parser.parse_args()
    with mortal_server(options.pg) as server:
        lines = []
        for name, how, times, promise in (
            ("killed", signal.SIGKILL, options.kills, KILL_PROMISE),
            ("vanished", signal.SIGSTOP, options.freezes, FREEZE_PROMISE),
        ):
            url = server.url(server.create_database())
            lines.append(told(name, asyncio.run(run(url, options, how, times)), promise))
    print("\n" + "\n".join(lines))


if __name__ == "__main__":
    main()
