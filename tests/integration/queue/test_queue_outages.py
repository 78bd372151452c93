"""The database goes away and comes back; workers stay, and no job is lost or left over."""

import asyncio
import os
import signal
from collections.abc import Iterator

import asyncpg
import psycopg
import pytest

from db.errors import Unavailable
from db.pool import connect, open_pool
from tests.integration.queue.test_queue_rescue import at_least, events, is_equal, put
from tests.services.postgres import SessionFolder
from tests.services.queue_fixtures import eventually
from tests.services.queue_postgres import MortalServer
from tests.services.queue_worker import EVENTS, start_worker
from workers.queue import job_manager
from workers.queue.completion import record
from workers.queue.listening import Listener
from workers.queue.outcomes import Finish

LONG = 90.0
CUTS = 80  # a tenth of a second apart


@pytest.fixture
def server(pytestconfig) -> Iterator[MortalServer]:
    folder = SessionFolder()
    try:
        yield MortalServer(folder.path, pytestconfig.getoption("--pg"))
    finally:
        folder.remove()


@pytest.fixture
async def start(request) -> Iterator:
    started = []

    def start(url, *arguments):
        process = start_worker(url, *arguments)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def status_counts(url):
    with psycopg.connect(url) as connection:
        return dict(
            connection.execute("SELECT status, count(*) FROM queue.job_queue GROUP BY 1").fetchall()
        )


@pytest.mark.parametrize("how", ["crash", "stop"])
async def test_worker_survives_a_restart_of_the_database(server, start, how):
    """One job runs through the outage, others wait for its end; the process is never replaced."""
    url = server.url(server.create_database())
    pool = await open_pool(url, max_size=1)
    await pool.execute(EVENTS)
    worker = start(url, "--concurrency", "2")
    await put(pool, "work", payload={"seconds": 1.5}, max_attempts=None)
    await eventually(lambda: is_equal(events(pool, "start"), 1))
    for _ in range(20):
        await put(pool, "work", payload={"seconds": 0.05}, max_attempts=None)
    pool.terminate()
    for pause in (0.0, 3.0):
        await asyncio.to_thread(getattr(server, how))
        await asyncio.sleep(pause)
        await asyncio.to_thread(server.go_on)
        await asyncio.sleep(0.5)
    await eventually(lambda: status_counts(url) == {"completed": 21}, within=LONG)
    assert worker.poll() is None
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO queue.job_queue (job_type) VALUES ('work')")
    await eventually(lambda: status_counts(url) == {"completed": 22}, within=LONG)
    with psycopg.connect(url) as connection:
        crashes = connection.execute("SELECT max(crashes) FROM queue.job_queue").fetchone()
        owners = connection.execute("SELECT count(*) FROM queue.job_workers").fetchone()
    assert (crashes, owners) == ((0,), (1,))
    worker.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(worker.wait, 30) == 0


async def test_terminated_backends_lose_nothing(pool, database_url, start):
    """Every connection of the worker is cut again and again, in the middle of whatever it does."""
    await pool.execute(EVENTS)
    worker = start(database_url, "--concurrency", "3")
    links = 60
    await put(pool, "chain", payload={"n": links}, max_attempts=None)
    for _ in range(40):
        await put(pool, "work", payload={"seconds": 0.01}, max_attempts=None)
    own = await pool.fetchval("SELECT pg_backend_pid()")
    for _ in range(CUTS):
        await pool.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()
                 AND application_name <> 'test' AND pid <> $1 AND random() < 0.3""",
            own,
        )
        await asyncio.sleep(0.1)

    async def statuses():
        return dict(await pool.fetch("SELECT status, count(*) FROM queue.job_queue GROUP BY 1"))

    await eventually(lambda: is_equal(statuses(), {"completed": links + 40}), within=LONG)
    assert worker.poll() is None
    chain = await pool.fetchval(
        """SELECT count(*) FROM events e JOIN queue.job_queue j ON j.id = e.job_id
           WHERE j.job_type = 'chain' AND e.event = 'end'"""
    )
    assert chain == links


class Torn:
    """A connection as a cut in the middle of a statement leaves it to the driver: its next
    statement is no error of the server, nor of the interface."""

    def __init__(self, connection):
        self._connection = connection

    def __getattr__(self, name):
        return getattr(self._connection, name)

    async def add_listener(self, *_):
        raise asyncpg.InternalClientError("cannot switch to state 12; another operation is on")


async def test_listener_goes_on_after_a_connection_in_a_state_of_its_own(database_url):
    opened = []
    told = asyncio.Event()

    async def open_connection():
        opened.append(await connect(database_url))
        return Torn(opened[0]) if len(opened) == 1 else opened[-1]

    async def tell(*, channel, payload):
        told.set()

    listener = Listener(
        open_connection=open_connection,
        channels=("procrastinate_any_job",),
        on_notification=tell,
        on_receipt=lambda: None,
    )
    listening = asyncio.create_task(listener.run())
    async with asyncio.timeout(LONG):
        await told.wait()
    assert len(opened) == 2
    assert opened[0].is_closed()
    assert not listening.done()
    listening.cancel()


@pytest.mark.parametrize("failures", [1, 3])
async def test_worker_whose_first_connections_are_cut_starts_all_the_same(
    app, workers, job, monkeypatch, failures
):
    @app.task(name="easy")
    async def easy():
        pass

    calls = []

    async def cut(*arguments, **named):
        calls.append(named)
        if len(calls) <= failures:
            raise Unavailable("the database did not answer: connection was closed")
        return await connect(*arguments, **named)

    monkeypatch.setattr(job_manager, "connect", cut)
    job_id = await easy.defer_async()
    await workers.drain()
    assert (await job(job_id))["status"] == "completed"
    assert len(calls) == failures + 1


async def test_worker_waits_out_exhausted_connections(server, start):
    url = server.url(server.create_database())
    pool = await open_pool(url, max_size=1)
    await pool.execute(EVENTS)
    worker = start(url, "--concurrency", "2")
    await put(pool, "work")
    await eventually(lambda: at_least(events(pool, "end"), 1))
    own = await pool.fetchval("SELECT pg_backend_pid()")
    hogs = []
    # Cut the worker's connections and take their places, until it holds none any more.
    while len(hogs) < 60:
        await pool.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> $1
                 AND application_name NOT IN ('hog', 'ytempire cli')""",
            own,
        )
        try:
            hogs.append(await asyncpg.connect(url, server_settings={"application_name": "hog"}))
        except asyncpg.TooManyConnectionsError:
            break
    await put(pool, "work")
    await asyncio.sleep(2)
    assert worker.poll() is None
    for hog in hogs:
        await hog.close()
    await eventually(lambda: at_least(events(pool, "end"), 2), within=LONG)
    assert worker.poll() is None
    await pool.close()


async def test_dear_result_is_written_when_the_database_returns(server):
    from tests.services.queue_worker import build_app

    url = server.url(server.create_database())
    pool = await open_pool(url, max_size=2)
    await pool.execute(EVENTS)
    app = build_app(url, pool)
    tries = []

    @app.task(name="dear", pass_context=True)
    async def dear(context):
        await asyncio.to_thread(server.crash)

        async def write(connection):
            tries.append(1)
            await connection.execute("INSERT INTO events (event) VALUES ('written')")

        back = asyncio.get_running_loop().run_in_executor(None, come_back)
        await record(context, Finish(), write)
        await back

    def come_back():
        import time

        time.sleep(1)
        server.go_on()

    async with app.open_async():
        job_id = await dear.defer_async()
        worker = asyncio.create_task(app.run_worker_async(install_signal_handlers=False))
        await eventually(lambda: bool(tries), within=LONG)
        await eventually(lambda: status_counts_or_none(url) == {"completed": 1}, within=LONG)
        assert await pool.fetchval("SELECT count(*) FROM events WHERE event = 'written'") == 1
        assert (
            await pool.fetchval("SELECT attempts FROM queue.job_queue WHERE id = $1", job_id) == 1
        )
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
    await pool.close()


def status_counts_or_none(url):
    try:
        return status_counts(url)
    except psycopg.OperationalError:
        return None


async def test_frozen_database_does_not_condemn_its_workers(server, start):
    """All heartbeats are old when it thaws; the workers were frozen with it, not dead."""
    url = server.url(server.create_database())
    pool = await open_pool(url, max_size=1)
    await pool.execute(EVENTS)
    start(url, "--name", "first")
    await put(pool, "work", payload={"seconds": 12})
    await eventually(lambda: is_equal(events(pool, "start"), 1))
    start(url, "--name", "second")
    await eventually(lambda: pool.fetchval("SELECT count(*) = 2 FROM queue.job_workers"))
    await asyncio.sleep(2)
    with psycopg.connect(url) as connection:
        pids = [
            row[0]
            for row in connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            )
            if row[0] != connection.info.backend_pid
        ]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(6)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    await pool.execute("UPDATE queue.job_workers SET last_heartbeat = now() - interval '60 s'")
    await eventually(lambda: is_equal(events(pool, "end"), 1), within=LONG)
    assert await pool.fetchval("SELECT max(crashes) FROM queue.job_queue") == 0
    await pool.close()
