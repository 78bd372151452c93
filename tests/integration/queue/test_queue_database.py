"""Statements, rules of the table, and driver errors in our words."""

import dataclasses
from datetime import timedelta

import asyncpg
import pytest

from db.errors import (
    ConstraintViolated,
    Contended,
    InvalidValue,
    RowNotFound,
    SchemaMissing,
    Unavailable,
    UniqueViolated,
    translated,
)
from db.pool import acquired, transaction
from db.repositories import jobs, queues
from db.repositories.jobs import AlreadyWaiting, IdempotencyConflict, enqueue
from db.statements import load
from workers.queue.retention import prune

SQL = load("job_queue")


@pytest.mark.parametrize("name", SQL)
async def test_statement_prepares_on_the_migrated_database(connection, name):
    prepared = await connection.prepare(SQL[name].sql)
    columns = [attribute.name for attribute in prepared.get_attributes()]
    assert len(prepared.get_parameters()) == len(SQL[name].parameters)
    assert bool(columns) == (SQL[name].cardinality != "exec")
    if name in jobs.ROWS:
        fields = [field.name for field in dataclasses.fields(jobs.ROWS[name])]
        assert columns == fields


REFUSED = {
    "payload no object": ("(job_type, payload) VALUES ('t', '[]')", "payload"),
    "priority 0": ("(job_type, priority) VALUES ('t', 0)", "valid_priority"),
    "priority 11": ("(job_type, priority) VALUES ('t', 11)", "valid_priority"),
    "no attempts": ("(job_type, max_attempts) VALUES ('t', 0)", "max_attempts"),
    "no name": ("(job_type) VALUES ('')", "named_job_type"),
    "unknown status": ("(job_type, status) VALUES ('t', 'done')", "status"),
    "nobody's run": ("(job_type, status) VALUES ('t', 'processing')", "owned_while_processing"),
    "negative attempts": ("(job_type, attempts) VALUES ('t', -1)", "counters_not_negative"),
    "large payload": (
        "(job_type, payload) VALUES ('t', jsonb_build_object('b', repeat('x', 10000000)))",
        "payload_size",
    ),
    "long queue": ("(job_type, queue_name) VALUES ('t', repeat('é', 21))", "queue_name"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_nonsense_is_refused_by_the_table(pool, case):
    values, constraint = REFUSED[case]
    with pytest.raises(asyncpg.CheckViolationError) as caught:
        await pool.execute(f"INSERT INTO queue.job_queue {values}")
    assert constraint in caught.value.constraint_name


@pytest.mark.parametrize("change", ["blocked = true", "ready = false, scheduled_for = NULL"])
async def test_a_waiting_job_cannot_be_hidden_for_ever(pool, change):
    await pool.execute("INSERT INTO queue.job_queue (job_type, scheduled_for) VALUES ('t', NULL)")
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute(f"UPDATE queue.job_queue SET {change}")


async def test_rows_written_by_hand_are_made_whole(pool):
    await pool.execute(
        """INSERT INTO queue.job_queue (job_type, ready, blocked, worker_id, scheduled_for)
           VALUES ('t', true, true, 7, now() + interval '1 day')"""
    )
    row = await pool.fetchrow("SELECT * FROM queue.job_queue")
    assert (row["ready"], row["blocked"], row["worker_id"]) == (False, False, None)
    assert row["max_attempts"] == 3
    await pool.execute("UPDATE queue.job_queue SET status = 'failed'")
    row = await pool.fetchrow("SELECT * FROM queue.job_queue")
    assert row["completed_at"] is not None
    assert "set to failed by postgres" in row["last_error"]
    await pool.execute("UPDATE queue.job_queue SET status = 'pending', scheduled_for = NULL")
    row = await pool.fetchrow("SELECT * FROM queue.job_queue")
    assert (row["ready"], row["completed_at"]) == (True, None)


async def test_enqueue_is_part_of_its_transaction(pool):
    async def enqueue_and_fail():
        async with transaction(pool) as connection:
            await enqueue(connection, job_type="t", payload={})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await enqueue_and_fail()
    assert await pool.fetchval("SELECT count(*) FROM queue.job_queue") == 0


async def test_enqueue_says_what_stands_in_its_way(pool):
    async with transaction(pool) as connection:
        first = await enqueue(
            connection, job_type="t", payload={"a": 1.0}, idempotency_key="k", queueing_lock="q"
        )
    async with transaction(pool) as connection:
        again = await enqueue(connection, job_type="t", payload={"a": 1}, idempotency_key="k")
    assert again == first
    with pytest.raises(IdempotencyConflict, match=str(first)):
        async with transaction(pool) as connection:
            await enqueue(connection, job_type="t", payload={"a": 2}, idempotency_key="k")
    with pytest.raises(AlreadyWaiting, match="'q' already waits"):
        async with transaction(pool) as connection:
            await enqueue(connection, job_type="t", payload={}, queueing_lock="q")
    with pytest.raises(InvalidValue, match="at most 40"):
        async with transaction(pool) as connection:
            await enqueue(connection, job_type="t", payload={}, queue="q" * 41)


async def test_driver_errors_leave_a_transaction_as_ours(pool):
    for query, kind in {
        "SELECT 1/0": InvalidValue,
        "SELECT * FROM nowhere": SchemaMissing,
        "INSERT INTO queue.job_queue (job_type) VALUES (NULL)": ConstraintViolated,
        "INSERT INTO queue.queue_state VALUES ('a'), ('a')": UniqueViolated,
        "SELECT pg_terminate_backend(pg_backend_pid())": Unavailable,
    }.items():
        with pytest.raises(kind) as caught:
            async with transaction(pool) as connection:
                await connection.execute(query)
        assert caught.value.__cause__ is not None
    assert await pool.fetchval("SELECT 1") == 1


async def test_a_lock_that_is_held_is_contention(pool):
    async with transaction(pool) as holder, acquired(pool) as other:
        await holder.execute("LOCK queue.job_queue")
        with pytest.raises(Contended), translated():
            await other.execute(
                "BEGIN; SET LOCAL lock_timeout = '10ms'; SELECT FROM queue.job_queue"
            )
        await other.execute("ROLLBACK")


async def test_a_statement_that_must_find_a_row_says_which(pool):
    async with acquired(pool) as connection:
        with pytest.raises(RowNotFound, match="job_find_by_key"):
            await SQL["job_find_by_key"].one(
                connection, idempotency_key="none", job_type="t", payload={}
            )


async def test_json_keeps_its_values_and_refuses_nan(pool):
    value = {"f": 0.1, "i": 2**63, "t": "é\u2028", "n": None}
    assert await pool.fetchval("SELECT $1::jsonb", value) == value
    async with acquired(pool) as connection:
        with pytest.raises(InvalidValue), translated():
            await connection.fetchval("SELECT $1::jsonb", float("nan"))


async def test_queue_status_of_an_empty_database_is_empty(pool):
    async with acquired(pool) as connection:
        assert await queues.Queues(connection).status() == []


async def test_pruning_takes_only_what_ended_long_ago_in_batches(pool):
    await pool.execute(
        """INSERT INTO queue.job_queue (job_type, status, completed_at)
           SELECT 't', CASE n % 3 WHEN 0 THEN 'failed' ELSE 'completed' END,
                  now() - make_interval(days => n) FROM generate_series(0, 29) AS n"""
    )
    await pool.execute("INSERT INTO queue.job_queue (job_type) VALUES ('t')")
    week = timedelta(days=6, hours=12)
    assert await prune(pool, older_than=week, statuses=["failed"], batch=3, pause=0) == 7
    assert await prune(pool, older_than=week, batch=5, pause=0) == 16
    assert await pool.fetchval("SELECT count(*) FROM queue.job_queue") == 8


async def test_a_paused_queue_does_not_keep_a_worker_waiting(app, workers, pool):
    await pool.execute("INSERT INTO queue.job_queue (job_type, queue_name) VALUES ('t', 'p')")
    async with acquired(pool) as connection:
        await queues.Queues(connection).pause("p", by="t", reason=None)
    await workers.drain()
    assert await pool.fetchval("SELECT status FROM queue.job_queue") == "pending"
