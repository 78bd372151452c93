"""Real worker processes on a server of their own, for benchmarks that hurt them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import asyncpg

from tests.services.postgres import SessionFolder, remove_abandoned
from tests.services.queue_postgres import MortalServer
from tests.services.queue_worker import EVENTS

ROOT = Path(__file__).parents[1]
# The database calls nobody dead for so long after its own start.
SETTLING = timedelta(seconds=16)


@contextlib.contextmanager
def mortal_server(major: int, *, connections: int = 40) -> Iterator[MortalServer]:
    """A server that may be stopped and started, with `synchronous_commit` as an operator has it."""
    remove_abandoned()
    folder = SessionFolder()
    try:
        server_folder = folder.path / "server"
        server_folder.mkdir(mode=0o711)
        yield MortalServer(server_folder, major, connections=connections)
    finally:
        folder.remove()


class Crew:
    """Worker processes with the tasks of tests/services/queue_worker.py."""

    def __init__(self, url: str, *, concurrency: int) -> None:
        self.url = url
        self._concurrency = concurrency
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        worker = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.services.queue_worker", self.url),
                *("--concurrency", str(self._concurrency), "--grace", "2"),
            ],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.workers.append(worker)
        return worker

    def end(self) -> None:
        """Kill what is left; a stopped process has to go on first."""
        for worker in self.workers:
            if worker.poll() is None:
                os.kill(worker.pid, signal.SIGCONT)
                worker.kill()
            worker.wait()


async def prepared(url: str) -> asyncpg.Connection:
    """A connection to a database that has its events table and has been up long enough."""
    connection = await asyncpg.connect(url)
    await connection.execute(EVENTS)
    while await connection.fetchval(
        "SELECT pg_postmaster_start_time() > clock_timestamp() - $1::interval", SETTLING
    ):
        await asyncio.sleep(0.5)
    return connection


def told(name: str, seconds: Sequence[float], promise: float | None = None) -> str:
    """One line: how many, p50, p99 and the longest, and what was promised."""
    ordered = sorted(seconds)

    def quantile(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    if not ordered:
        return f"{name}: nothing measured"
    limit = "" if promise is None else f"   promised {promise:g} s"
    return (
        f"{name}: n {len(ordered)}   p50 {quantile(0.5):.2f} s   p99 {quantile(0.99):.2f} s   "
        f"max {ordered[-1]:.2f} s{limit}"
    )
