"""A run accepted in one statement: `accept.sql`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.repositories.receipts import ReceiptKey
from db.statements import load

_SQL = load("accept")


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the caller remembers and the statement checks; `workflow_seen` None: however it is."""

    api_key_id: UUID
    key_hash: str
    scope: str
    channel_id: UUID
    channel_seen: datetime
    workflow: str
    workflow_seen: datetime | None


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run with the ids it gets. `stages` in their order; the job does the first."""

    video_id: UUID
    execution_id: UUID
    job_id: UUID
    title: str
    topic: str | None
    language: str
    resolution: str
    fps: int
    visibility: str
    publish_at: datetime | None
    external_id: str | None
    trigger_data: Mapping[str, Any]
    callback_url: str | None
    priority: int
    stages: Sequence[str]
    job_type: str
    queue_name: str
    payload: Mapping[str, Any]


_REMEMBERED = tuple(field.name for field in fields(Remembered))
_NEW_RUN = tuple(field.name for field in fields(NewRun))


class Accepting:
    """Statements of `accept.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def accept(
        self,
        remembered: Remembered,
        run: NewRun,
        *,
        receipt: ReceiptKey | None,
        request_hash: str,
        answer: Mapping[str, Any],
    ) -> bool:
        """False, and nothing is written, when something is not as remembered or was done before."""
        row = await _SQL["run_accept"].maybe(
            self._connection,
            **{name: getattr(remembered, name) for name in _REMEMBERED},
            **{name: getattr(run, name) for name in _NEW_RUN},
            receipt_kind=receipt.kind if receipt else None,
            receipt_endpoint=receipt.endpoint if receipt else None,
            receipt_key=receipt.idempotency_key if receipt else None,
            request_hash=request_hash,
            answer=answer,
        )
        return row is not None

    async def announce(self, *, queue_name: str) -> None:
        await _SQL["accept_announce"].one(self._connection, queue_name=queue_name)
