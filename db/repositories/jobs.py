"""Jobs of the queue, as the application's own transactions see them."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db.errors import ConstraintViolated, InvalidValue, UniqueViolated
from db.pool import Connection
from db.statements import load

STATEMENTS = load("job_queue")
DEFAULT_QUEUE = "default"
DEFAULT_PRIORITY = 5
DEFAULT_MAX_ATTEMPTS = 3
JOB_TYPE_CHARACTERS = 100
QUEUE_NAME_BYTES = 40  # its NOTIFY channel must fit the 63 bytes of a name
KEY_CHARACTERS = 200


@dataclass(slots=True)
class Handover:
    """A worker that is ending a job takes the next one up itself: the first job enqueued for one of
    its queues (None: any) needs no notification, which would only wake the others in vain."""

    queues: frozenset[str] | None
    used: bool = False

    def take(self, queue: str) -> bool:
        if self.used or not (self.queues is None or queue in self.queues):
            return False
        self.used = True
        return True


handover: ContextVar[Handover | None] = ContextVar("handover", default=None)


class IdempotencyConflict(ConstraintViolated):
    """The idempotency key belongs to a job of another type or with another payload."""


class AlreadyWaiting(UniqueViolated):
    """A job with this queueing lock already waits; the transaction is over."""


def check_names(*, job_type: str, queue: str, idempotency_key: str | None = None) -> None:
    """Raise InvalidValue for a name that the table has no room for, saying which and how much:
    Postgres would only say "value too long"."""
    for name, value, size, limit in (
        ("job type", job_type, len(job_type), JOB_TYPE_CHARACTERS),
        ("queue name", queue, len(queue.encode("utf-8", "replace")), QUEUE_NAME_BYTES),
        ("idempotency key", idempotency_key or "", len(idempotency_key or ""), KEY_CHARACTERS),
    ):
        if size > limit:
            unit = "bytes" if name == "queue name" else "characters"
            raise InvalidValue(f"the {name} {value[:50]!r}... has {size} {unit}; at most {limit}")


async def enqueue(
    connection: Connection,
    *,
    job_type: str,
    payload: Mapping[str, Any],
    queue: str = DEFAULT_QUEUE,
    priority: int = DEFAULT_PRIORITY,
    scheduled_for: datetime | None = None,
    max_attempts: int | None = DEFAULT_MAX_ATTEMPTS,
    lock: str | None = None,
    queueing_lock: str | None = None,
    idempotency_key: str | None = None,
    requested_by: str | None = None,
) -> UUID:
    """Insert one job; workers see it when the transaction of `connection` commits.

    `priority` is 1 (first) to 10; `scheduled_for` None means at once; `max_attempts` counts runs,
    None leaves them to the task's retry strategy. With an `idempotency_key`, a repeat returns the
    first job's id and inserts nothing.

    Raises:
        IdempotencyConflict: the key was used for another job_type or payload.
        AlreadyWaiting: a job with this queueing lock is pending.
        ConstraintViolated, InvalidValue: the job breaks a rule of the table (priority, payload
            size, length of names, NUL in text); the message names it.
    """
    check_names(job_type=job_type, queue=queue, idempotency_key=idempotency_key)
    passed_on = handover.get()
    quiet = passed_on is not None and scheduled_for is None and passed_on.take(queue)
    try:
        row = await STATEMENTS["job_insert"].maybe(
            connection,
            job_type=job_type,
            payload=dict(payload),
            queue_name=queue,
            priority=priority,
            scheduled_for=scheduled_for,
            max_attempts=max_attempts,
            lock=lock,
            queueing_lock=queueing_lock,
            idempotency_key=idempotency_key,
            requested_by=requested_by,
            quiet_queue=queue if quiet else "",
        )
    except UniqueViolated as error:
        if error.constraint != "uq_queue_queueing_lock":
            raise
        raise AlreadyWaiting(
            f"a job with the queueing lock {queueing_lock!r} already waits",
            constraint=error.constraint,
            detail=error.detail,
        ) from error
    if row is not None:
        return UUID(str(row["id"]))
    existing = await STATEMENTS["job_find_by_key"].one(
        connection, idempotency_key=idempotency_key, job_type=job_type, payload=dict(payload)
    )
    if not existing["same"]:
        raise IdempotencyConflict(
            f"the idempotency key {idempotency_key!r} belongs to job {existing['id']}, "
            "which has another type or payload",
            constraint="job_queue_idempotency_key_key",
        )
    return UUID(str(existing["id"]))


ENDED = ("completed", "failed", "cancelled", "aborted")


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the queue. `ready` is false before its time, `blocked` true behind its lock's head;
    the worker is the present or last one."""

    id: UUID
    job_type: str
    queue: str
    priority: int
    status: str
    payload: dict[str, Any]
    attempts: int
    max_attempts: int | None
    crashes: int
    ready: bool
    blocked: bool
    abort_requested: bool
    lock: str | None
    queueing_lock: str | None
    idempotency_key: str | None
    requested_by: str | None
    last_error: str | None
    created_at: datetime
    scheduled_for: datetime | None
    next_retry_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    worker_id: int | None
    worker_name: str | None
    worker_host: str | None
    worker_pid: int | None
    seq: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a job that needed more than one, or that failed."""

    attempt: int
    worker_id: int | None
    started_at: datetime
    finished_at: datetime | None
    outcome: str | None
    error_class: str | None
    error_message: str | None


ROWS = {"job_get": Job, "job_list": Job, "job_list_attempts": Attempt}


class Jobs:
    """What operators read and do; on one connection, never begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def find_by_prefix(self, prefix: str, *, most: int = 5) -> list[UUID]:
        """Ids that begin with `prefix`, hyphens optional; none for what cannot begin an id."""
        digits = prefix.replace("-", "").lower()
        if not digits or len(digits) > 32 or set(digits) - set("0123456789abcdef"):
            return []
        rows = await STATEMENTS["job_find_between"].many(
            self._connection,
            first=UUID(digits.ljust(32, "0")),
            last=UUID(digits.ljust(32, "f")),
            most=most,
        )
        return [row["id"] for row in rows]

    async def get(self, job_id: UUID) -> Job | None:
        row = await STATEMENTS["job_get"].maybe(self._connection, id=job_id)
        return None if row is None else Job(**row)

    async def list(
        self,
        *,
        status: str | None = None,
        job_type: str | None = None,
        queue: str | None = None,
        before: tuple[datetime, int] | None = None,
        most: int = 50,
    ) -> builtins.list[Job]:
        """Newest first; the next page is `before` the `created_at` and `seq` of the last job."""
        created_at, seq = before or (None, None)
        rows = await STATEMENTS["job_list"].many(
            self._connection,
            status=status,
            job_type=job_type,
            queue_name=queue,
            before_created_at=created_at,
            before_seq=seq,
            most=most,
        )
        return [Job(**row) for row in rows]

    async def attempts(self, job_id: UUID) -> builtins.list[Attempt]:
        rows = await STATEMENTS["job_list_attempts"].many(self._connection, job_id=job_id)
        return [Attempt(**row) for row in rows]

    async def select_ids(
        self, *, statuses: Sequence[str], job_type: str | None, queue: str | None, most: int
    ) -> builtins.list[UUID]:
        """The oldest jobs in these statuses."""
        rows = await STATEMENTS["job_select_ids"].many(
            self._connection,
            statuses=builtins.list(statuses),
            job_type=job_type,
            queue_name=queue,
            most=most,
        )
        return [row["id"] for row in rows]

    async def restart(self, job_id: UUID, *, note: str | None) -> tuple[str, UUID | None]:
        """Put an ended or waiting job back with all its attempts.

        Returns "restarted"; or what keeps it as it is: its status (processing, completed, pending
        and ready), and the job that waits with the same queueing lock.
        """
        row = await STATEMENTS["job_mark_retry"].one(self._connection, id=job_id, note=note)
        return str(row["status"]), row["waiting_id"]

    async def cancel(self, job_id: UUID, *, note: str) -> str | None:
        """Cancel a pending job ("cancelled"), ask a running one to abort ("processing"); None if
        it has already ended."""
        row = await STATEMENTS["job_mark_cancelled"].maybe(self._connection, id=job_id, note=note)
        return None if row is None else str(row["status"])

    async def count_ended(self, *, older_than_seconds: float, statuses: Sequence[str]) -> int:
        row = await STATEMENTS["job_count_ended"].one(
            self._connection,
            older_than_seconds=older_than_seconds,
            statuses=builtins.list(statuses),
        )
        return int(row["jobs"])

    async def delete_ended_batch(
        self, *, older_than_seconds: float, statuses: Sequence[str], most: int = 1000
    ) -> int:
        """Delete up to `most` jobs that ended so long ago; how many. Repeat until it is 0."""
        return await STATEMENTS["job_delete_ended_batch"].exec(
            self._connection,
            older_than_seconds=older_than_seconds,
            statuses=builtins.list(statuses),
            most=most,
        )
