"""Jobs of the queue, as the application's own transactions see them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from db.errors import ConstraintViolated, UniqueViolated
from db.pool import Connection
from db.statements import load

STATEMENTS = load("job_queue")
DEFAULT_QUEUE = "default"
DEFAULT_PRIORITY = 5
DEFAULT_MAX_ATTEMPTS = 3


class IdempotencyConflict(ConstraintViolated):
    """The idempotency key belongs to a job of another type or with another payload."""


class AlreadyWaiting(UniqueViolated):
    """A job with this queueing lock already waits; the transaction is over."""


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
