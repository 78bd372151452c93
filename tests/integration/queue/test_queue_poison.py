"""What anybody may write into the table by SQL, and what must not come of it: a stuck queue."""

import json

import asyncpg
import pytest

from tests.services.queue_fixtures import Workers, eventually
from workers.queue.app import QueueApp
from workers.queue.connector import JobQueueConnector

UNREADABLE = {
    "nested deeply": "'{\"a\":' || repeat('[', 101) || repeat(']', 101) || '}'",
    "nested in objects": "repeat('{\"a\":', 2000) || '1' || repeat('}', 2000)",
    "a number of 5,000 digits": '\'{"n": [1, {"m": 1e5000}]}\'',
    "a negative one": "'{\"n\": -1e4500}'",
}
READABLE = {
    "nested within reason": "'{\"a\":' || repeat('[', 99) || repeat(']', 99) || '}'",
    "many brackets side by side": "'{\"a\": [' || repeat('[],', 5000) || '1]}'",
    "a text of brackets": "'{\"a\": \"' || repeat('[', 500) || '\"}'",
    "a text of digits": "'{\"a\": \"' || repeat('9', 5000) || '\"}'",
    "a tiny number": "'{\"n\": -1e-5000}'",
    "a number of 300 digits": "'{\"n\": 1e300}'",
}


@pytest.mark.parametrize("payload", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_payload_that_no_worker_can_read_is_refused(pool, payload):
    with pytest.raises(asyncpg.CheckViolationError, match="no worker could read it") as caught:
        await pool.execute(
            f"INSERT INTO queue.job_queue (job_type, payload) SELECT 't', ({payload})::jsonb"
        )
    assert caught.value.constraint_name == "payload_readable"
    await pool.execute("INSERT INTO queue.job_queue (job_type) VALUES ('t')")
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute(f"UPDATE queue.job_queue SET payload = ({payload})::jsonb")


@pytest.mark.parametrize("payload", READABLE.values(), ids=READABLE)
async def test_any_other_payload_reaches_its_task(app, workers, pool, payload):
    seen = []

    @app.task(name="t")
    async def t(**payload):
        seen.append(payload)

    stored = await pool.fetchval(
        f"""INSERT INTO queue.job_queue (job_type, payload) SELECT 't', ({payload})::jsonb
            RETURNING payload"""
    )
    await workers.drain()
    assert seen == [stored]


async def test_payload_with_the_names_of_procrastinates_arguments_fails_alone(app, workers, pool):
    @app.task(name="t", pass_context=True)
    async def t(context, **payload):
        pass

    await pool.execute(
        """INSERT INTO queue.job_queue (job_type, payload)
           VALUES ('t', '{"self": 1}'), ('t', '{"context": 1}'), ('t', '{"": 1}')"""
    )
    await workers.drain()
    rows = await pool.fetch("SELECT status FROM queue.job_queue ORDER BY seq")
    assert [row["status"] for row in rows] == ["failed", "failed", "completed"]


@pytest.mark.parametrize("column", ["scheduled_for", "next_retry_at"])
@pytest.mark.parametrize("moment", ["infinity", "-infinity", "10000-01-01Z", "0001-12-31 BC"])
async def test_a_time_outside_the_calendar_is_refused(pool, column, moment):
    with pytest.raises(asyncpg.CheckViolationError) as caught:
        await pool.execute(
            f"INSERT INTO queue.job_queue (job_type, {column}) VALUES ('t', '{moment}')"
        )
    assert caught.value.constraint_name == "times_in_the_calendar"


@pytest.mark.parametrize("moment", ["0001-01-01Z", "9999-12-31 23:59:59.999999Z"])
async def test_the_ends_of_the_calendar_are_served(app, workers, pool, moment):
    ran = []

    @app.task(name="t")
    async def t(n=1):
        ran.append(n)

    await pool.execute(
        f"INSERT INTO queue.job_queue (job_type, scheduled_for) VALUES ('t', '{moment}')"
    )
    await t.defer_async(n=2)
    workers.start()
    await eventually(lambda: 2 in ran)
    assert len(list(await app.job_manager.list_jobs_async())) == 2


async def test_job_that_the_applications_decoder_refuses_fails_alone(database_url, pool):
    def loads(text):
        return json.loads(text)["wrapped"]

    def dumps(value):
        return json.dumps({"wrapped": value})

    connector = JobQueueConnector(database_url, pool=pool, json_dumps=dumps, json_loads=loads)
    app = QueueApp(connector=connector)
    ran = []

    @app.task(name="t")
    async def t(n):
        ran.append(n)

    async with app.open_async():
        await pool.execute("""INSERT INTO queue.job_queue (job_type, lock) VALUES ('t', 'l')""")
        await t.configure(lock="l").defer_async(n=1)
        await Workers(app).drain()
    assert ran == [1]
    rows = await pool.fetch("SELECT status, attempts, last_error FROM queue.job_queue ORDER BY seq")
    assert [row["status"] for row in rows] == ["failed", "completed"]
    assert rows[0]["last_error"] == "it cannot be read: KeyError: 'wrapped'"
