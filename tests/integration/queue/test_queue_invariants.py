"""Random interleavings of workers, people at psql and deaths, on the real table.

Held at every step: no job is lost; none runs for two owners; none is ended by a non-owner; no lock
is held twice; a fetch takes the job that a plain, slow query says is first; and in the end every
job that could run has run.

Under 30 s as it is; for a night, QUEUE_EXAMPLES=2000 makes it longer.
"""

import asyncio
import contextlib
import os
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from db.errors import Contended
from db.pool import prepare_connection
from db.statements import load

SQL = load("job_queue")
QUEUES = ("a", "b")
PEOPLE = 2

# What a fetch must take, said without ready, blocked or any index: the first by priority and
# deferral of the jobs that are due, not paused, and first of their lock.
FIRST = """
SELECT j.id FROM queue.job_queue j
WHERE j.status = 'pending' AND j.queue_name = ANY($1::text[])
  AND coalesce(j.next_retry_at, j.scheduled_for, now()) <= clock_timestamp()
  AND NOT EXISTS (SELECT FROM queue.queue_state s
                  WHERE s.queue_name = j.queue_name AND s.paused_at IS NOT NULL)
  AND NOT EXISTS (SELECT FROM queue.job_queue o
                  WHERE o.lock = j.lock AND o.id <> j.id AND (o.status = 'processing'
                        OR (o.status = 'pending' AND (o.priority, o.seq) < (j.priority, j.seq))))
ORDER BY j.priority, j.seq LIMIT 1"""

locks = st.sampled_from([None, None, "x", "y"])
priorities = st.integers(1, 10)
delays = st.sampled_from([None, None, "-1 hour", "1 hour"])
queue_lists = st.sampled_from([["a"], ["b"], ["a", "b"]])
people = st.integers(0, PEOPLE - 1)


def machine(url: str) -> type[RuleBasedStateMachine]:
    class Queue(RuleBasedStateMachine):
        workers = Bundle("workers")
        claims = Bundle("claims")  # (id, claim, worker, started_at) of every fetch, stale ones too

        def __init__(self) -> None:
            super().__init__()
            self.runner = asyncio.Runner()
            self.connection = self.connect()
            self.persons = [self.connect() for _ in range(PEOPLE)]
            self.open = [False] * PEOPLE
            self.meddled = False  # somebody set `blocked` by hand, and no sweep has passed since
            self.owner: dict[UUID, int] = {}  # job -> claim that runs it, by what we were told
            self.execute("TRUNCATE queue.job_queue, queue.job_workers, queue.queue_state CASCADE")

        def connect(self) -> asyncpg.Connection:
            async def connect() -> asyncpg.Connection:
                connection = await asyncpg.connect(
                    url, server_settings={"lock_timeout": "300ms", "timezone": "UTC"}
                )
                await prepare_connection(connection)
                return connection

            return self.runner.run(connect())

        def teardown(self) -> None:
            try:
                for person in range(PEOPLE):
                    if self.open[person]:
                        self.runner.run(self.persons[person].execute("COMMIT"))
                self.everything_runs_in_the_end()
            finally:
                for connection in (self.connection, *self.persons):
                    connection.terminate()
                self.runner.close()

        def execute(self, query: str, *arguments: object) -> str:
            return self.runner.run(self.connection.execute(query, *arguments))

        def fetchval(self, query: str, *arguments: object) -> object:
            return self.runner.run(self.connection.fetchval(query, *arguments))

        def row(self, job_id: UUID) -> asyncpg.Record | None:
            return self.runner.run(
                self.connection.fetchrow("SELECT * FROM queue.job_queue WHERE id = $1", job_id)
            )

        def by_person(self, person: int, query: str, *arguments: object) -> None:
            """In the person's open transaction, or by itself; a lock that is taken ends it."""
            with contextlib.suppress(
                asyncpg.LockNotAvailableError,
                asyncpg.DeadlockDetectedError,
                asyncpg.InFailedSQLTransactionError,
                asyncpg.UniqueViolationError,
                asyncpg.CheckViolationError,
            ):
                self.runner.run(self.persons[person].execute(query, *arguments))

        # Workers

        @initialize(target=workers)
        def begin(self) -> object:
            return multiple(*(self.new_worker() for _ in range(3)))

        def new_worker(self) -> int:
            return self.runner.run(
                SQL["worker_register"].one(self.connection, name="w", host="h", pid=1, queues=None)
            )["worker_id"]

        @rule(target=claims, worker=workers, queues=queue_lists, promote=st.booleans())
        def fetch(self, worker: int, queues: list[str], promote: bool) -> object:
            alone = not any(self.open)
            if promote:
                self.execute("SELECT queue.job_promote_due(1000)")
                self.execute("SELECT queue.job_heal_locks(NULL, 1000)")
                self.meddled = self.meddled and not alone
            before = self.runner.run(self.connection.fetch(FIRST, queues))
            try:
                row = self.runner.run(
                    SQL["job_fetch"].one(
                        self.connection, queues=queues, worker_id=worker, busy=False
                    )
                )
            except Contended:  # a person sits on a row that it must wait for
                return multiple()
            if row["id"] is None:
                assert not (alone and before) or self.meddled, "a job that could run was not found"
                return multiple()
            job_id = UUID(row["id"])
            assert job_id not in self.owner, "a job runs for two owners"
            if alone and promote:
                assert job_id == before[0]["id"], "not the first in order"
            self.owner[job_id] = row["claim"]
            return (job_id, row["claim"], worker, row["started_at"])

        @rule(
            claim=consumes(claims),
            outcome=st.sampled_from(["completed", "failed", "retry", "snooze", "release"]),
            soon=st.booleans(),
        )
        def end(self, claim: tuple, outcome: str, soon: bool) -> None:
            self.end_as(claim, outcome, 0.0 if soon else 3600.0)

        @rule(claim=claims, outcome=st.sampled_from(["completed", "retry"]))
        def end_once_more(self, claim: tuple, outcome: str) -> None:
            """The claim stays in the bundle, so that it is tried again when it is stale."""
            self.end_as(claim, outcome, 0.0)

        def end_as(self, claim: tuple, outcome: str, delay: float) -> None:
            job_id, number, worker, started_at = claim
            before = self.row(job_id)
            try:
                status = self.runner.run(
                    SQL["job_end"].one(
                        self.connection,
                        id=job_id,
                        claim=number,
                        worker_id=worker,
                        started_at=started_at,
                        outcome=outcome,
                        error=None,
                        error_class=None,
                        at=None,
                        delay=delay,
                        priority=None,
                        queue_name=None,
                        lock=None,
                        delete=False,
                    )
                )["status"]
            except Contended:  # a person is just changing this very row
                return
            ours = self.owner.get(job_id) == number
            assert (status is not None) == ours, "ended by a non-owner, or refused to the owner"
            if ours:
                del self.owner[job_id]
            else:
                assert self.row(job_id) == before, "a non-owner changed the row"

        @rule(worker=consumes(workers), target=workers)
        def worker_dies(self, worker: int) -> int:
            self.execute(
                "UPDATE queue.job_workers SET last_heartbeat = now() - interval '1 min' "
                "WHERE id = $1",
                worker,
            )
            self.execute("SELECT queue.job_rescue()")
            held = self.runner.run(
                self.connection.fetch("SELECT id FROM queue.job_queue WHERE status = 'processing'")
            )
            still = {row["id"] for row in held}
            self.owner = {job_id: n for job_id, n in self.owner.items() if job_id in still}
            return self.new_worker()

        # People at psql

        @rule(person=people)
        def begins(self, person: int) -> None:
            if not self.open[person]:
                self.by_person(person, "BEGIN")
                self.open[person] = True

        @rule(person=people, commit=st.booleans())
        def closes(self, person: int, commit: bool) -> None:
            if self.open[person]:
                self.by_person(person, "COMMIT" if commit else "ROLLBACK")
                self.open[person] = False
                self.forget_what_people_took()

        @rule(
            person=people,
            queue=st.sampled_from(QUEUES),
            priority=priorities,
            lock=locks,
            delay=delays,
            queueing_lock=st.sampled_from([None, None, None, "q"]),
            count=st.integers(1, 3),
        )
        def inserts(self, person, queue, priority, lock, delay, queueing_lock, count) -> None:
            self.by_person(
                person,
                """INSERT INTO queue.job_queue (
                       job_type, queue_name, priority, lock, scheduled_for, queueing_lock,
                       max_attempts)
                   SELECT 't', $1, $2, $3, now() + coalesce($4, '0')::text::interval, $5, NULL
                   FROM generate_series(1, $6::integer)""",
                queue,
                priority,
                lock,
                delay,
                queueing_lock,
                1 if queueing_lock else count,
            )

        @rule(
            person=people,
            change=st.sampled_from(
                [
                    "UPDATE queue.job_queue SET status = 'cancelled'",
                    "UPDATE queue.job_queue SET status = 'pending'",
                    "UPDATE queue.job_queue SET status = 'failed'",
                    "DELETE FROM queue.job_queue",
                    "UPDATE queue.job_queue SET priority = 1",
                    "UPDATE queue.job_queue SET priority = 10",
                    "UPDATE queue.job_queue SET lock = 'x'",
                    "UPDATE queue.job_queue SET lock = NULL",
                    "UPDATE queue.job_queue SET blocked = true",
                    "UPDATE queue.job_queue SET ready = false",
                    "UPDATE queue.job_queue SET queue_name = 'b'",
                    "UPDATE queue.job_queue SET scheduled_for = now(), next_retry_at = NULL",
                    "UPDATE queue.job_queue SET scheduled_for = now() + interval '1 hour'",
                    "UPDATE queue.job_queue SET abort_requested = true",
                ]
            ),
            which=st.integers(0, 9),
            several=st.booleans(),
        )
        def changes(self, person: int, change: str, which: int, several: bool) -> None:
            self.by_person(
                person,
                f"""{change} WHERE id IN (
                    SELECT id FROM queue.job_queue ORDER BY seq OFFSET $1 LIMIT $2)""",
                which,
                3 if several else 1,
            )
            self.meddled = self.meddled or "blocked" in change
            self.forget_what_people_took()

        def forget_what_people_took(self) -> None:
            """A running row that a person changed away is nobody's any more."""
            held = self.runner.run(
                self.connection.fetch(
                    "SELECT id, claim FROM queue.job_queue WHERE status = 'processing'"
                )
            )
            still = {row["id"]: row["claim"] for row in held}
            self.owner = {j: n for j, n in self.owner.items() if still.get(j) == n}

        @rule(which=st.integers(0, 5))
        def time_passes(self, which: int) -> None:
            """A job becomes due as it does in life: without anybody writing its row."""
            try:
                self.execute(
                    f"""BEGIN; SET LOCAL session_replication_role = replica;
                    UPDATE queue.job_queue
                    SET scheduled_for = now() - interval '1 s', next_retry_at = NULL
                    WHERE id IN (SELECT id FROM queue.job_queue
                                 WHERE status = 'pending' AND NOT ready ORDER BY seq
                                 OFFSET {which} LIMIT 1);
                    COMMIT"""
                )
            except asyncpg.LockNotAvailableError:
                self.execute("ROLLBACK")

        @rule(queue=st.sampled_from(QUEUES), paused=st.booleans())
        def pauses(self, queue: str, paused: bool) -> None:
            if paused:
                self.runner.run(
                    SQL["queue_mark_paused"].exec(
                        self.connection, queue_name=queue, paused_by="t", reason=None
                    )
                )
            else:
                self.runner.run(
                    SQL["queue_mark_resumed"].maybe(self.connection, queue_name=queue, reason=None)
                )

        # What holds at every step

        @invariant()
        def claims_told_and_rows_agree(self) -> None:
            rows = self.runner.run(
                self.connection.fetch(
                    "SELECT id, claim, lock FROM queue.job_queue WHERE status = 'processing'"
                )
            )
            held = {row["id"]: row["claim"] for row in rows}
            assert held == self.owner, "a job was lost or runs unknown to its worker"
            taken = [row["lock"] for row in rows if row["lock"] is not None]
            assert len(taken) == len(set(taken)), "a lock is held twice"

        @precondition(lambda self: not any(self.open))
        @rule()
        def heals(self) -> None:
            self.execute("SELECT queue.job_heal_locks(NULL, 1000)")

        def everything_runs_in_the_end(self) -> None:
            self.execute("DELETE FROM queue.queue_state")
            self.execute("UPDATE queue.job_workers SET last_heartbeat = now() - interval '1 min'")
            self.execute("SELECT queue.job_rescue()")
            self.execute(
                """UPDATE queue.job_queue SET scheduled_for = now(), next_retry_at = NULL
                   WHERE status = 'pending' AND NOT ready"""
            )
            self.execute("SELECT queue.job_heal_locks(NULL, 1000)")
            worker = self.new_worker()
            waiting = self.fetchval("SELECT count(*) FROM queue.job_queue WHERE status = 'pending'")
            self.owner = {}
            served = []
            while True:
                claim = self.fetch(worker, list(QUEUES), True)
                if not isinstance(claim, tuple):
                    break
                served.append(claim[0])
                self.end_as(claim, "completed", 0.0)
            assert len(served) == waiting
            assert not self.fetchval(
                "SELECT count(*) FROM queue.job_queue WHERE status IN ('pending', 'processing')"
            )

    return Queue


@pytest.fixture
async def settled_url(database_url: str) -> str:
    """A database that has been up long enough for a rescue."""
    connection = await asyncpg.connect(database_url)
    try:
        while await connection.fetchval(
            "SELECT pg_postmaster_start_time() > clock_timestamp() - interval '15 s'"
        ):
            await asyncio.sleep(0.2)
    finally:
        await connection.close()
    return database_url


def test_queue_keeps_its_promises_whatever_happens(settled_url: str) -> None:
    run_state_machine_as_test(
        machine(settled_url),
        settings=settings(
            max_examples=int(os.environ.get("QUEUE_EXAMPLES", "20")),
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
