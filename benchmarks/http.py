"""Triggers over HTTP: how many a second, and how long one takes while workers are busy.

    .venv/bin/python -m benchmarks.http [--rounds 7] [--seconds 4] [--connections 32]
                                        [--rate 100] [--minutes 1] [--pg-url URL]

`ytempire serve` takes `POST /v1/runs` with an API key and a fresh Idempotency-Key: a run with its
six steps, its video, its first job and the receipt of the request, in one durable commit. Beside it
a bare FastAPI endpoint does one INSERT, on the same PostgreSQL (fsync on), under the same client.
Rounds alternate; each gives a pair. Then requests come at a fixed rate while a worker runs jobs as
fast as it can; first for an endpoint that has nothing else to do, then with the worker.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import asyncpg

from benchmarks.http_load import closed_loop, connected, open_loop, requests_for
from db import embedded
from workers.settings import Settings

PROGRAM = Path(sys.executable).with_name("ytempire")
ROOT = Path(__file__).parents[1]
JOBS = """
INSERT INTO queue.job_queue (job_type, queue_name)
SELECT 'maintenance.noop', 'maintenance' FROM generate_series(1, $1::integer)"""
JOBS_AT_ONCE, FEWEST_WAITING = 2000, 1000
CLEAR = "TRUNCATE queue.job_queue, workflow_executions, videos, webhook_receipts CASCADE"


@contextlib.contextmanager
def process(command: Sequence[str], environment: dict[str, str]) -> Iterator[str]:
    """A server's address, from the line with which it says that it listens."""
    with subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    ) as server:  # fmt: skip
        try:
            assert server.stdout is not None
            yield server.stdout.readline().split()[-1]
        finally:
            server.terminate()
            server.wait(30)


def quantiles(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    told = [f"{name} {ordered[int(at * len(ordered))] * 1000:.1f}" for name, at in shares.items()]
    return f"{'   '.join(told)}   max {ordered[-1] * 1000:.1f} ms   (n {len(ordered)})"


async def throughput(
    ours: str, bare: str, key: str, url: str, *, rounds: int, seconds: float, connections: int
) -> None:
    """Alternating rounds, and their medians."""
    database = await asyncpg.connect(url)
    sides = {
        "bare": (bare, requests_for("/bare", None)),
        "ytempire": (ours, requests_for("/v1/runs", key)),
    }

    async def one(name: str, seconds: float) -> float:
        # Anew each time: a server ends connections that were idle for a round.
        callers = await connected(sides[name][0], connections)
        try:
            return await closed_loop(callers, sides[name][1], seconds)
        finally:
            for caller in callers:
                caller.close()

    for name in sides:
        await one(name, 2.0)  # warm
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in sorted(sides, reverse=bool(number % 2)):
            rates[name].append(await one(name, seconds))
        pair = {name: rates[name][-1] for name in sides}
        print(
            f"round {number + 1}: bare {pair['bare']:.0f}/s   ytempire {pair['ytempire']:.0f}/s"
            f"   {pair['ytempire'] / pair['bare']:.2f}",
            flush=True,
        )
        await database.execute(CLEAR)
    ratios = [o / b for o, b in zip(rates["ytempire"], rates["bare"], strict=True)]
    print(
        f"median: bare {statistics.median(rates['bare']):.0f}/s"
        f"   ytempire {statistics.median(rates['ytempire']):.0f}/s"
        f"   of pairs {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )
    await database.close()


async def latency(
    ours: str, key: str, url: str, environment: dict[str, str], *, rate: float, seconds: float
) -> None:
    """At a fixed rate: alone, then with a worker that always has jobs to run."""
    callers = await connected(ours, 16)
    make = requests_for("/v1/runs", key)
    alone = await open_loop(callers, make, rate=rate, seconds=seconds / 2)
    print(f"{rate:g}/s alone:        {quantiles(alone)}", flush=True)
    database = await asyncpg.connect(url)
    await database.execute(CLEAR)
    worker = subprocess.Popen(
        [str(PROGRAM), "worker", "--queues", "maintenance", "--concurrency", "4"],
        env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    stop = asyncio.Event()
    feeding = asyncio.create_task(feed(database, stop))
    try:
        while not await feeding_begun(url):
            await asyncio.sleep(0.2)
        busy = await open_loop(callers, make, rate=rate, seconds=seconds)
    finally:
        stop.set()
        fed = await feeding
        worker.terminate()
        worker.wait(60)
    print(f"{rate:g}/s worker busy:  {quantiles(busy)}   ({fed} jobs fed meanwhile)")
    await database.close()


async def feed(database: asyncpg.Connection, stop: asyncio.Event) -> int:
    """Keep jobs waiting; how many were put in."""
    fed = 0
    while not stop.is_set():
        waiting = await database.fetchval(
            "SELECT count(*) FROM queue.job_queue"
            " WHERE queue_name = 'maintenance' AND status = 'pending' AND ready AND NOT blocked"
        )
        if waiting < FEWEST_WAITING:
            await database.execute(JOBS, JOBS_AT_ONCE)
            fed += JOBS_AT_ONCE
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await stop.wait()
    return fed


async def feeding_begun(url: str) -> bool:
    connection = await asyncpg.connect(url)
    try:
        return bool(
            await connection.fetchval(
                "SELECT EXISTS (SELECT FROM queue.job_queue WHERE status = 'completed')"
            )
        )
    finally:
        await connection.close()


async def measure(options: argparse.Namespace, url: str, environment: dict[str, str]) -> None:
    connection = await asyncpg.connect(url)
    shown = [await connection.fetchval(f"SHOW {name}") for name in ("fsync", "synchronous_commit")]
    assert shown == ["on", "on"], shown
    print(f"PostgreSQL {await connection.fetchval('SHOW server_version')}, fsync on")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    await connection.close()
    ytempire(environment, "channel", "add", "bench", "--resolution", "360p")
    made = ytempire(
        environment, "key", "create", "bench", "--scope", "runs:write", "--rate-limit", "1000000",
        "--json",
    )  # fmt: skip
    key = json.loads(made)["key"]
    bare = [sys.executable, "-m", "benchmarks.http_bare", url]
    serve = [str(PROGRAM), "serve", "--port", "0"]
    with process(bare, environment) as other, process(serve, environment) as ours:
        await throughput(
            ours, other, key, url, rounds=options.rounds, seconds=options.seconds,
            connections=options.connections,
        )  # fmt: skip
        await latency(ours, key, url, environment, rate=options.rate, seconds=options.minutes * 60)
    print(f"load at the end {os.getloadavg()[0]:.1f}")


def ytempire(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [str(PROGRAM), *arguments], env=environment, cwd=ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--minutes", type=float, default=1.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ytempire-bench-", dir="/var/tmp") as folder:
        data = Path(folder)
        data.chmod(0o755)
        settings = Settings.from_env({"YTEMPIRE_DATA_DIR": str(data)})
        try:
            with embedded.database_url(settings) as url:
                environment = {
                    **os.environ,
                    "YTEMPIRE_DATA_DIR": str(data),
                    "DATABASE_URL": url,
                }
                asyncio.run(measure(options, url, environment))
        finally:
            embedded.stop(data)


if __name__ == "__main__":
    main()
