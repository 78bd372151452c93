"""What users of Procrastinate rely on: periodic tasks, workers, listening, lists, shell, CLI."""

import asyncio
import io
import os
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from uuid import UUID

import pytest
from procrastinate import exceptions, jobs, shell, sql, utils
from procrastinate.manager import get_channel_for_queues

from db.statements import load
from tests.services.queue_fixtures import eventually
from workers.queue.translation import QueryMismatch, compare

ROOT = Path(__file__).parents[3]


def job_at(timestamp, **options):
    return jobs.Job(
        **{
            "queue": "default",
            "lock": None,
            "queueing_lock": None,
            "task_name": "tick",
            "task_kwargs": {"timestamp": timestamp},
            **options,
        }
    )


async def test_a_tick_becomes_one_job_over_any_number_of_workers(app, pool):
    ids = await asyncio.gather(
        *(app.job_manager.defer_periodic_job(job_at(60), "", 60) for _ in range(8))
    )
    assert sum(job_id is not None for job_id in ids) == 1
    assert await pool.fetchval("SELECT count(*) FROM queue.job_queue") == 1
    row = await pool.fetchrow("SELECT max_attempts, payload FROM queue.job_queue")
    assert tuple(row) == (None, {"timestamp": 60})
    assert await app.job_manager.defer_periodic_job(job_at(120), "", 120)
    assert await app.job_manager.defer_periodic_job(job_at(60), "other", 60)


async def test_a_tick_is_remembered_after_its_job_is_gone(app, pool):
    assert await app.job_manager.defer_periodic_job(job_at(60), "", 60)
    await pool.execute("DELETE FROM queue.job_queue")
    assert await app.job_manager.defer_periodic_job(job_at(60), "", 60) is None


async def test_a_tick_refused_by_its_queueing_lock_is_not_used_up(app, pool):
    await app.configure_task("other", queueing_lock="q").defer_async()
    with pytest.raises(exceptions.AlreadyEnqueued):
        await app.job_manager.defer_periodic_job(job_at(60, queueing_lock="q"), "", 60)
    await pool.execute("UPDATE queue.job_queue SET status = 'cancelled'")
    assert await app.job_manager.defer_periodic_job(job_at(60, queueing_lock="q"), "", 60)


async def test_old_ticks_are_forgotten_long_after(app, pool):
    year = 365 * 86400
    await app.job_manager.defer_periodic_job(job_at(60), "", 60)
    await app.job_manager.defer_periodic_job(job_at(60 + year), "", 60 + year)
    assert await pool.fetchval("SELECT count(*) FROM queue.periodic_ticks") == 1


async def test_two_workers_defer_a_periodic_task_once(app, pool):
    seen = []

    @app.periodic(cron="* * * * *", periodic_id="p")
    @app.task(name="tick")
    async def tick(timestamp):
        seen.append(timestamp)

    workers = [
        asyncio.create_task(app.run_worker_async(install_signal_handlers=False)) for _ in range(2)
    ]
    await eventually(lambda: bool(seen))
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert len(seen) == len(set(seen))
    assert await pool.fetchval("SELECT count(*) FROM queue.periodic_ticks") == len(seen)


async def test_worker_rows_come_live_and_end_but_stay(app, pool):
    manager = app.job_manager
    worker_id = await manager.register_worker()
    row = await pool.fetchrow("SELECT * FROM queue.job_workers WHERE id = $1", worker_id)
    assert (row["pid"], row["stopped_at"]) == (os.getpid(), None)
    assert row["host"]
    await pool.execute("UPDATE queue.job_workers SET last_heartbeat = now() - interval '1 hour'")
    await manager.update_heartbeat(worker_id)
    age = "SELECT now() - last_heartbeat < interval '1 minute' FROM queue.job_workers"
    assert await pool.fetchval(age)
    await manager.unregister_worker(worker_id)
    assert await pool.fetchval("SELECT stopped_at IS NOT NULL FROM queue.job_workers")
    await manager.unregister_worker(10**9)
    await manager.update_heartbeat(10**9)


async def test_pruned_worker_is_revived_by_its_heartbeat(app, pool):
    await pool.execute(
        "INSERT INTO queue.job_workers (last_heartbeat) VALUES (now() - interval '10 s')"
    )
    assert await app.job_manager.prune_stalled_workers(20.5) == []
    (worker_id,) = await app.job_manager.prune_stalled_workers(9.5)
    assert await pool.fetchval("SELECT stopped_at IS NOT NULL FROM queue.job_workers")
    await app.job_manager.update_heartbeat(worker_id)
    assert await pool.fetchval("SELECT stopped_at IS NULL FROM queue.job_workers")


async def test_stalled_jobs_are_those_of_missing_stopped_or_silent_workers(app, pool):
    silent, stopped, live = [
        row["id"]
        for row in await pool.fetch(
            """INSERT INTO queue.job_workers (last_heartbeat, stopped_at)
               VALUES (now() - interval '1 min', NULL), (now(), now()), (now(), NULL)
               RETURNING id"""
        )
    ]
    ids = {}
    for name, owner in {"s": silent, "e": stopped, "l": live, "m": 10**6}.items():
        ids[name] = await pool.fetchval(
            """INSERT INTO queue.job_queue (job_type, queue_name, status, worker_id, started_at)
               VALUES ($1, $1, 'processing', $2, now() - interval '1 day') RETURNING id::text""",
            name,
            owner,
        )
    found = await app.job_manager.get_stalled_jobs()
    assert {job.id for job in found} == {ids["s"], ids["e"], ids["m"]}
    found = await app.job_manager.get_stalled_jobs(queue="s", task_name="s")
    assert [job.id for job in found] == [ids["s"]]
    with pytest.warns(DeprecationWarning, match="nb_seconds"):
        found = await app.job_manager.get_stalled_jobs(nb_seconds=3600)
    assert {job.id for job in found} == set(ids.values())


async def listen(app, queues):
    """What arrives on the channels of these queues, and the task that listens."""
    heard = asyncio.Queue()
    ready = asyncio.Event()

    async def on_notification(*, channel, payload):
        if '"job_id": null' in payload or '"job_id" : null' in payload:
            ready.set()
        else:
            heard.put_nowait((channel, payload))

    task = asyncio.create_task(
        app.connector.listen_notify(
            on_notification=on_notification, channels=get_channel_for_queues(queues)
        )
    )
    async with asyncio.timeout(20):
        await ready.wait()
    return heard, task


@pytest.mark.parametrize("queue", ["default", "With Space", "ünï", 'quo"te', "#hash"])
async def test_an_insert_is_announced_on_both_channels(app, pool, queue):
    of_queue, first = await listen(app, [queue])
    of_all, second = await listen(app, None)
    await pool.execute("INSERT INTO queue.job_queue (job_type, queue_name) VALUES ('t', $1)", queue)
    async with asyncio.timeout(20):
        assert (await of_queue.get())[0] == f"procrastinate_queue_v1#{queue}"
        assert (await of_all.get())[0] == "procrastinate_any_queue_v1"
    for task in (first, second):
        task.cancel()
    await asyncio.gather(first, second, return_exceptions=True)


async def test_a_batch_is_announced_once(app, pool):
    heard, task = await listen(app, None)
    await app.configure_task("t").batch_defer_async(*({"n": n} for n in range(20)))
    await app.configure_task("t", queue="other").defer_async()
    async with asyncio.timeout(20):
        first, second = await heard.get(), await heard.get()
    assert first != second
    assert heard.empty()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_listening_survives_its_connection_and_any_payload(app, pool):
    heard, task = await listen(app, None)
    await pool.execute("NOTIFY procrastinate_any_queue_v1, 'not json'")
    async with asyncio.timeout(20):
        assert await heard.get() == ("procrastinate_any_queue_v1", "not json")
    await pool.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'ytempire listen' AND datname = current_database()"
    )

    async def announced():
        await pool.execute("INSERT INTO queue.job_queue (job_type) VALUES ('t')")
        await asyncio.sleep(0.05)
        return not heard.empty()

    await eventually(announced)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_garbage_notification_does_not_stop_a_worker(app, pool, workers):
    ran = []

    @app.task(name="t")
    async def t():
        ran.append(1)

    worker = workers.start()
    await t.defer_async()
    await eventually(lambda: bool(ran))
    await pool.execute("NOTIFY procrastinate_any_queue_v1, 'not json'")
    await t.defer_async()
    await eventually(lambda: len(ran) == 2)
    assert not worker.done()


@pytest.fixture
async def some_jobs(app, pool):
    for name, queue, lock, status in [
        ("a", "q", "l", "pending"),
        ("a", "q", None, "completed"),
        ("b", "q", "m", "failed"),
        ("b", "r", "m", "aborted"),
        ("b", "r", None, "cancelled"),
    ]:
        await pool.execute(
            "INSERT INTO queue.job_queue (job_type, queue_name, lock, status) "
            "VALUES ($1, $2, $3, $4)",
            name,
            queue,
            lock,
            status,
        )


EMPTY = {"todo": 0, "doing": 0, "succeeded": 0, "failed": 0, "cancelled": 0, "aborted": 0}


@pytest.mark.usefixtures("some_jobs")
async def test_lists_count_by_queue_task_and_lock(app):
    manager = app.job_manager
    assert list(await manager.list_queues_async()) == [
        {**EMPTY, "name": "q", "jobs_count": 3, "todo": 1, "succeeded": 1, "failed": 1},
        {**EMPTY, "name": "r", "jobs_count": 2, "aborted": 1, "cancelled": 1},
    ]
    assert list(await manager.list_tasks_async(queue="q")) == [
        {**EMPTY, "name": "a", "jobs_count": 2, "todo": 1, "succeeded": 1},
        {**EMPTY, "name": "b", "jobs_count": 1, "failed": 1},
    ]
    assert list(await manager.list_locks_async()) == [
        {**EMPTY, "name": "l", "jobs_count": 1, "todo": 1},
        {**EMPTY, "name": "m", "jobs_count": 2, "failed": 1, "aborted": 1},
    ]
    assert [row["name"] for row in await manager.list_locks_async(status="todo")] == ["l"]
    rows = await app.connector.execute_query_all_async(sql.queries["count_jobs_status"])
    assert {row["status"]: row["count"] for row in rows} == {
        "todo": 1,
        "succeeded": 1,
        "failed": 1,
        "aborted": 1,
        "cancelled": 1,
    }


@pytest.mark.usefixtures("some_jobs")
async def test_list_jobs_filters_combine(app):
    manager = app.job_manager
    every = list(await manager.list_jobs_async())
    assert [job.task_name for job in every] == ["a", "a", "b", "b", "b"]
    found = list(await manager.list_jobs_async(queue="q", task="b", status="failed", lock="m"))
    assert [job.id for job in found] == [every[2].id]
    assert list(await manager.list_jobs_async(id=str(UUID(int=1)))) == []
    assert list(await manager.list_jobs_async(worker_id=1)) == []
    with pytest.raises(exceptions.ConnectorException, match="no job status"):
        await manager.list_jobs_async(status="pending")


@pytest.mark.usefixtures("some_jobs")
async def test_shell_listings_work(app):
    def lines(command):
        printed = io.StringIO()
        with redirect_stdout(printed):
            shell.ProcrastinateShell(app.job_manager).onecmd(command)
        return printed.getvalue().splitlines()

    assert len(await utils.sync_to_async(lines, "list_jobs queue=q details")) == 3
    assert (await utils.sync_to_async(lines, "list_queues"))[0].startswith("q: 3 jobs (todo: 1")
    assert len(await utils.sync_to_async(lines, "list_tasks")) == 2
    assert len(await utils.sync_to_async(lines, "list_locks")) == 2


def procrastinate(url, *arguments):
    app = "tests.services.procrastinate_app.app"
    return subprocess.run(
        [sys.executable, "-m", "procrastinate", "--app", app, *arguments],
        env={**os.environ, "TEST_QUEUE_URL": url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_procrastinates_own_commands_work(pool, database_url):
    def run(*arguments):
        return asyncio.to_thread(procrastinate, database_url, *arguments)

    assert (await run("healthchecks")).returncode == 0
    done = await run("defer", "add", '{"a": 1, "b": 2}', "--priority", "3", "--lock", "l")
    assert done.returncode == 0, done.stderr
    row = await pool.fetchrow("SELECT job_type, priority, lock, payload FROM queue.job_queue")
    assert tuple(row) == ("add", 2, "l", {"a": 1, "b": 2})
    done = await run("worker", "--one-shot")
    assert done.returncode == 0, done.stderr
    assert await pool.fetchval("SELECT status FROM queue.job_queue") == "completed"
    done = await run("shell", "list_jobs")
    assert "add on default - [succeeded]" in done.stdout


async def test_procrastinates_schema_command_is_refused_with_the_reason(pool, database_url):
    done = await asyncio.to_thread(procrastinate, database_url, "schema", "--apply")
    assert done.returncode == 1
    assert "ytempire db migrate" in done.stderr
    assert await pool.fetchval("SELECT to_regclass('procrastinate_jobs')") is None


def test_installed_procrastinate_is_the_one_we_answer():
    assert len(sql.queries) == 22
    compare(sql.queries, load("job_queue"))


def test_changed_query_is_refused_by_name():
    changed = {**sql.queries, "finish_job": "SELECT f(%(job_id)s, %(claim)s)"}
    with pytest.raises(QueryMismatch, match=r"finish_job takes \(claim, job_id\)"):
        compare(changed, load("job_queue"))


def test_new_query_is_refused_by_name():
    with pytest.raises(QueryMismatch, match="fetch_jobs is new"):
        compare({**sql.queries, "fetch_jobs": "SELECT 1"}, load("job_queue"))
