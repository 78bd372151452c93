"""What users of Procrastinate rely on: rows, deferring, priorities, sync calls, errors."""

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import asyncpg
import pytest
from procrastinate import exceptions, jobs

from workers.queue.app import QueueApp
from workers.queue.connector import JobQueueConnector


@pytest.fixture
async def worker_id(app):
    worker_id = await app.job_manager.register_worker()
    yield worker_id
    await app.job_manager.unregister_worker(worker_id)


def make(**options):
    return jobs.Job(
        **{"queue": "default", "lock": None, "queueing_lock": None, "task_name": "t", **options}
    )


async def listed(app, **filters):
    return list(await app.job_manager.list_jobs_async(**filters))


async def test_deferred_listed_and_fetched_job_are_equal(app, worker_id):
    deferred = await app.job_manager.defer_job_async(make(task_kwargs={"a": [1, None]}))
    (found,) = await listed(app)
    fetched = await app.job_manager.fetch_job(None, worker_id)
    assert found == deferred
    assert fetched == deferred.evolve(status="doing", worker_id=worker_id)
    assert (found.scheduled_at, found.priority, found.lock, found.abort_requested) == (
        None,
        0,
        None,
        False,
    )


async def test_ids_are_strings_that_every_query_takes(app, worker_id):
    job_id = await app.configure_task("t").defer_async()
    assert json.loads(json.dumps(job_id)) == job_id
    assert {job_id}
    assert await app.job_manager.get_job_status_async(job_id) is jobs.Status.TODO
    assert await app.job_manager.get_job_status_async(UUID(job_id)) is jobs.Status.TODO
    assert [job.id for job in await listed(app, id=job_id)] == [job_id]
    assert await app.job_manager.cancel_job_by_id_async(job_id)
    other = UUID(await app.configure_task("t").defer_async())
    assert await app.job_manager.cancel_job_by_id_async(other)


async def test_nothing_is_a_row_without_an_id(app, worker_id):
    assert await app.job_manager.fetch_job(None, worker_id) is None
    assert not await app.job_manager.cancel_job_by_id_async(str(UUID(int=0)))
    with pytest.raises(exceptions.NoResult):
        await app.job_manager.get_job_status_async(str(UUID(int=0)))


async def test_batch_keeps_its_order_in_ids_and_in_service(app, worker_id):
    ids = await app.configure_task("t").batch_defer_async(*({"n": n} for n in range(50)))
    assert [job.task_kwargs["n"] for job in await listed(app)] == list(range(50))
    assert [job.id for job in await listed(app)] == ids
    served = [(await app.job_manager.fetch_job(None, worker_id)).id for _ in ids]
    assert served == ids


async def test_batch_is_all_or_none(app):
    with pytest.raises(exceptions.AlreadyEnqueued):
        await app.job_manager.batch_defer_jobs_async(
            [make(), make(queueing_lock="q"), make(queueing_lock="q")]
        )
    assert await listed(app) == []


@pytest.mark.parametrize("name", ["q", "a) already (b", "é\n'%s\"", "=("])
async def test_taken_queueing_lock_raises_already_enqueued(app, name):
    task = app.configure_task("t", queueing_lock=name)
    await task.defer_async()
    with pytest.raises(exceptions.AlreadyEnqueued) as caught:
        await task.defer_async()
    assert f"queueing lock {name}" in str(caught.value)
    assert caught.value.__cause__.queueing_lock == name


async def test_another_unique_violation_keeps_its_name(app, pool, worker_id):
    await pool.execute("CREATE UNIQUE INDEX one_of_a_kind ON queue.job_queue(job_type)")
    await app.configure_task("t").defer_async()
    with pytest.raises(exceptions.UniqueViolation) as caught:
        await app.configure_task("t").defer_async()
    assert caught.value.constraint_name == "one_of_a_kind"


async def test_callers_connection_decides_about_the_job(app, database_url):
    plain = await asyncpg.connect(database_url)  # without our codecs
    try:
        transaction = plain.transaction()
        await transaction.start()
        deferred = await app.configure_task("t", connection=plain).defer_async(a=1)
        manager = app.job_manager
        assert await manager.get_job_status_async(deferred, connection=plain) is jobs.Status.TODO
        with pytest.raises(exceptions.NoResult):
            await manager.get_job_status_async(deferred)
        await transaction.rollback()
        assert await listed(app) == []
        async with plain.transaction():
            deferred = await app.configure_task("t", connection=plain).defer_async(a=1)
        assert [job.id for job in await listed(app)] == [deferred]
        async with plain.transaction():
            assert await manager.cancel_job_by_id_async(deferred, connection=plain)
        assert await manager.get_job_status_async(deferred) is jobs.Status.CANCELLED
    finally:
        await plain.close()


VALUES = {
    "null": None,
    "bools": [True, False],
    "big": 2**53,
    "float": 0.1,
    "nested": {"a": [{"b": []}, {}]},
    "text": "Grüße 🎬 \u202eabc %s %(x)s ' \" \\ \t \u2028",
    "empty": "",
}


async def test_json_comes_back_with_its_types(app):
    await app.configure_task("t").defer_async(**VALUES)
    (job,) = await listed(app)
    assert job.task_kwargs == VALUES
    for key, value in job.task_kwargs.items():
        assert type(value) is type(VALUES[key])


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\ud800"])
async def test_text_that_postgres_cannot_hold_is_refused_at_defer(app, text):
    with pytest.raises(exceptions.ConnectorException, match="cannot hold this value"):
        await app.configure_task("t").defer_async(text=text)


async def test_nan_is_refused_at_defer(app):
    with pytest.raises((exceptions.ConnectorException, ValueError)):
        await app.configure_task("t").defer_async(n=float("nan"))


async def test_arguments_and_only_they_use_the_json_functions_given(database_url, pool):
    def dumps(value):
        return json.dumps({"wrapped": value})

    def loads(text):
        return json.loads(text)["wrapped"]

    connector = JobQueueConnector(database_url, pool=pool, json_dumps=dumps, json_loads=loads)
    app = QueueApp(connector=connector)
    async with app.open_async():
        await app.configure_task("t").defer_async(a=1)
        (job,) = await listed(app)
        assert job.task_kwargs == {"a": 1}
        assert (await app.job_manager.list_queues_async())[0]["todo"] == 1
    assert await pool.fetchval("SELECT payload FROM queue.job_queue") == {"wrapped": {"a": 1}}


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5, minutes=45))])
async def test_schedule_is_the_same_instant_to_the_microsecond(app, worker_id, zone):
    moment = datetime(2031, 2, 3, 4, 5, 6, 789012, tzinfo=zone)
    await app.configure_task("t", schedule_at=moment).defer_async()
    (job,) = await listed(app)
    assert job.scheduled_at == moment
    assert job.scheduled_at.utcoffset() is not None
    assert await app.job_manager.fetch_job(None, worker_id) is None


async def test_past_schedule_is_ready_now(app, worker_id):
    moment = datetime(2001, 1, 1, tzinfo=UTC)
    job_id = await app.configure_task("t", schedule_at=moment).defer_async()
    assert (await app.job_manager.fetch_job(None, worker_id)).id == job_id


@pytest.mark.parametrize("priority", [-4, -1, 0, 3, 4])
async def test_priority_inside_the_window_reads_back(app, worker_id, priority):
    await app.configure_task("t", priority=priority).defer_async()
    (job,) = await listed(app)
    assert job.priority == priority
    await app.job_manager.retry_job(
        await app.job_manager.fetch_job(None, worker_id), priority=-priority + 1
    )
    (job,) = await listed(app)
    assert job.priority == max(-5, min(4, -priority + 1))


async def test_default_priority_is_the_columns_default(app, pool):
    await app.configure_task("t").defer_async()
    assert await pool.fetchval("SELECT priority FROM queue.job_queue") == 5


async def test_higher_priority_first_then_order_of_deferral(app, worker_id):
    order = [0, 3, -4, 3, 10**9, -(10**9), 0]
    for n, priority in enumerate(order):
        await app.configure_task("t", priority=priority).defer_async(n=n)
    served = []
    while job := await app.job_manager.fetch_job(None, worker_id):
        served.append(job.task_kwargs["n"])
    assert served == [4, 1, 3, 0, 6, 2, 5]


@pytest.mark.parametrize(
    ("options", "limit"),
    [({"queue": "q" * 41}, "at most 40"), ({"name": "t" * 101}, "at most 100")],
)
async def test_names_that_are_too_long_are_refused(app, options, limit):
    name = options.pop("name", "t")
    with pytest.raises(exceptions.ConnectorException, match=limit):
        await app.configure_task(name, **options).defer_async()
    assert await listed(app) == []


async def test_a_name_of_forty_bytes_is_served(app, worker_id):
    await app.configure_task("t", queue="é" * 20).defer_async()
    assert await app.job_manager.fetch_job(["é" * 20], worker_id)
    with pytest.raises(exceptions.ConnectorException):
        await app.configure_task("t", queue="é" * 21).defer_async()


async def test_payload_over_the_limit_is_refused_and_says_so(app):
    with pytest.raises(exceptions.ConnectorException, match="the limit is 1048576"):
        await app.configure_task("t").defer_async(blob="x" * 10_000_000)
    assert await listed(app) == []


async def test_sync_calls_in_a_sync_task_run_on_the_workers_loop(app, workers):
    seen = {}

    @app.task(name="sync")
    def sync():
        seen["id"] = app.configure_task("other", schedule_in={"hours": 1}).defer()
        seen["status"] = app.job_manager.get_job_status(seen["id"])
        seen["cancelled"] = app.job_manager.cancel_job_by_id(seen["id"])

    await sync.defer_async()
    await workers.drain()
    assert seen["status"] is jobs.Status.TODO
    assert seen["cancelled"]


async def test_sync_call_from_a_foreign_thread_is_refused_clearly(app):
    caught = []

    def call():
        try:
            app.configure_task("t").defer()
        except exceptions.ProcrastinateException as error:
            caught.append(str(error))

    thread = threading.Thread(target=call)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert "belongs to the event loop that opened it" in caught[0]
    assert await listed(app) == []


def test_sync_call_without_any_loop_is_refused_clearly():
    app = QueueApp(connector=JobQueueConnector("postgresql://nowhere.invalid/none"))
    with pytest.raises(exceptions.AppNotOpen, match="ytempire enqueue"):
        app.configure_task("t").defer()
    with pytest.raises(exceptions.AppNotOpen, match="open_async"), app.open():
        pass


async def test_an_open_connector_is_its_own_sync_connector(app):
    assert app.connector.get_sync_connector() is app.connector


async def test_using_an_unopened_app_says_so(database_url):
    app = QueueApp(connector=JobQueueConnector(database_url))
    with pytest.raises(exceptions.AppNotOpen):
        await app.configure_task("t").defer_async()


async def test_driver_errors_keep_their_cause(app, pool):
    with pytest.raises(exceptions.ConnectorException) as caught:
        await app.job_manager.get_job_status_async("not an id")
    assert caught.value.__cause__ is not None
    await pool.execute("ALTER TABLE queue.job_queue RENAME TO gone")
    with pytest.raises(exceptions.ConnectorException, match="ytempire db migrate"):
        await app.configure_task("t").defer_async()
    assert not await app.check_connection_async()


async def test_unreachable_database_is_a_connector_exception(tmp_path):
    connector = JobQueueConnector(f"postgresql://nobody@/none?host={tmp_path}")
    with pytest.raises(exceptions.ConnectorException, match="cannot be reached"):
        await connector.open_async()
