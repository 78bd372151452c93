"""The outbox: `webhook_deliveries`."""

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


ROWS = {"delivery_find_subject": DeliverySubject}


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
