"""The outbox: `webhook_deliveries`."""

import builtins
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.statements import load

_SQL = load("delivery")


@dataclass(frozen=True, slots=True)
class DeliverySubject:
    """A run whose change is told; `now` is the database's time."""

    status: str
    callback_url: str | None
    now: datetime
    deferred: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row of the outbox as its sender needs it. `id` is the webhook-id; `callback_url` is None
    for an alert that was never sent; `now` is the database's time."""

    id: UUID
    execution_id: UUID
    recipient: str
    event: str
    callback_url: str | None
    body: Mapping[str, Any]
    status: str
    failures: int
    early_answers: int
    attempts: int
    job_id: UUID | None
    queued_at: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class DeliveryAdrift:
    """A delivery whose job ended without it; the job's end says why, if there is one."""

    id: UUID
    execution_id: UUID
    event: str
    origin: str | None
    job_status: str | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class DeliveryListed:
    """A row of the outbox in a list."""

    id: UUID
    execution_id: UUID
    recipient: str
    event: str
    occurrence: int
    callback_url: str | None
    origin: str | None
    status: str
    attempts: int
    last_status_code: int | None
    last_error: str | None
    created_at: datetime
    next_attempt_at: datetime | None
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeadDeliveries:
    """What was given up of one origin; `example` is one of the reasons."""

    origin: str
    deliveries: int
    example: str | None


ROWS = {
    "delivery_find_subject": DeliverySubject,
    "delivery_lock": Delivery,
    "delivery_list_adrift": DeliveryAdrift,
    "delivery_list": DeliveryListed,
    "delivery_count_dead": DeadDeliveries,
}


class Deliveries:
    """Statements of `delivery.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def find_subject(
        self, *, execution_id: UUID, deferred_seconds: float
    ) -> DeliverySubject | None:
        """The run, locked; `deferred` when it pauses for longer than that."""
        row = await _SQL["delivery_find_subject"].maybe(
            self._connection, execution_id=execution_id, deferred_seconds=deferred_seconds
        )
        return DeliverySubject(**row) if row else None

    async def find_run_of_video(self, *, video_id: UUID) -> UUID | None:
        row = await _SQL["delivery_find_run_of_video"].maybe(self._connection, video_id=video_id)
        return row["id"] if row else None

    async def insert(
        self,
        *,
        execution_id: UUID,
        recipient: str,
        event: str,
        callback_url: str | None,
        body: Mapping[str, Any],
    ) -> UUID:
        """The run must be locked: occurrences are counted."""
        row = await _SQL["delivery_insert"].one(
            self._connection,
            execution_id=execution_id,
            recipient=recipient,
            event=event,
            callback_url=callback_url,
            body=body,
        )
        id_: UUID = row["id"]
        return id_

    async def set_job(self, *, delivery_id: UUID, job_id: UUID) -> None:
        await _SQL["delivery_set_job"].exec(
            self._connection, delivery_id=delivery_id, job_id=job_id
        )

    async def lock(self, *, delivery_id: UUID) -> Delivery | None:
        row = await _SQL["delivery_lock"].maybe(self._connection, delivery_id=delivery_id)
        return Delivery(**row) if row else None

    async def find_hold(self, *, origin: str) -> float:
        """Seconds for which nothing is sent to this origin."""
        row = await _SQL["delivery_find_hold"].one(self._connection, origin=origin)
        seconds: float = row["seconds"]
        return seconds

    async def is_gone(self, *, delivery_id: UUID, callback_url: str) -> bool:
        """Whether this address answered another delivery with 410."""
        row = await _SQL["delivery_is_gone"].one(
            self._connection, delivery_id=delivery_id, callback_url=callback_url
        )
        return bool(row["gone"])

    async def mark_attempt(self, *, delivery_id: UUID, callback_url: str, origin: str) -> None:
        await _SQL["delivery_mark_attempt"].exec(
            self._connection, delivery_id=delivery_id, callback_url=callback_url, origin=origin
        )

    async def settle(
        self,
        *,
        delivery_id: UUID,
        status: str,
        status_code: int | None,
        error: str | None,
        failures: int,
        early_answers: int,
        delay: float | None = None,
        hold: float | None = None,
    ) -> None:
        """Write how an attempt ended; nothing when it is not pending any more."""
        await _SQL["delivery_settle"].exec(
            self._connection,
            delivery_id=delivery_id,
            status=status,
            status_code=status_code,
            error=error,
            failures=failures,
            early_answers=early_answers,
            delay=delay,
            hold=hold,
        )

    async def restart(self, *, delivery_id: UUID) -> None:
        """Put a delivery back that was not delivered."""
        await _SQL["delivery_restart"].exec(self._connection, delivery_id=delivery_id)

    async def list_adrift(self) -> builtins.list[DeliveryAdrift]:
        """Locked for the transaction; rows that another transaction holds are left out."""
        rows = await _SQL["delivery_list_adrift"].many(self._connection)
        return [DeliveryAdrift(**row) for row in rows]

    async def list(
        self,
        *,
        status: str | None = None,
        execution_id: UUID | None = None,
        before: datetime | None = None,
        before_id: UUID | None = None,
        limit: int = 50,
    ) -> builtins.list[DeliveryListed]:
        """Newest first, after the row (before, before_id) when given."""
        rows = await _SQL["delivery_list"].many(
            self._connection,
            status=status,
            execution_id=execution_id,
            before=before,
            before_id=before_id,
            limit=limit,
        )
        return [DeliveryListed(**row) for row in rows]

    async def list_ids_like(self, *, prefix: str) -> builtins.list[UUID]:
        """At most two ids that begin with the prefix."""
        rows = await _SQL["delivery_list_ids_like"].many(self._connection, prefix=prefix)
        return [row["id"] for row in rows]

    async def list_dead_ids(self) -> builtins.list[UUID]:
        """All that were given up, oldest first."""
        rows = await _SQL["delivery_list_dead_ids"].many(self._connection)
        return [row["id"] for row in rows]

    async def count_dead(self) -> builtins.list[DeadDeliveries]:
        rows = await _SQL["delivery_count_dead"].many(self._connection)
        return [DeadDeliveries(**row) for row in rows]

    async def delete_old(self, *, days: int, most: int = 1000) -> int:
        """Delete up to `most` ended deliveries that are so old; how many."""
        return await _SQL["delivery_delete_old"].exec(self._connection, days=days, most=most)
