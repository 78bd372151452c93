"""What the doctor looks for across the tables; it only reads."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from db.pool import Connection
from db.statements import load

_SQL = load("finding")


@dataclass(frozen=True, slots=True)
class Orphan:
    """A video that is (or, without an id, may be) at a host and that no run publishes."""

    id: UUID
    video_id: UUID
    execution_id: UUID
    host_video_id: str | None
    host_channel_id: str | None
    marker: str
    status: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class UnknownCall:
    """A paid call without a known outcome; `amount_reserved` in US dollars."""

    id: UUID
    execution_id: UUID
    service: str
    operation: str
    status: str
    settle_at: datetime
    amount_reserved: Decimal


@dataclass(frozen=True, slots=True)
class StuckRun:
    """A run that does not go on. `since` it stands as it does; `job_status` is its last job's."""

    execution_id: UUID
    status: str
    step: str | None
    error_message: str | None
    since: datetime
    job_status: str | None
    queue: str | None
    queue_paused: bool
    review: bool
    overdue: bool
    not_taken: bool
    worker_gone: bool
    silent: bool


ROWS = {
    "finding_list_orphans": Orphan,
    "finding_list_unknown_calls": UnknownCall,
    "finding_list_stuck": StuckRun,
}


class Findings:
    """Statements of `finding.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list_orphans(self) -> list[Orphan]:
        rows = await _SQL["finding_list_orphans"].many(self._connection)
        return [Orphan(**row) for row in rows]

    async def list_unknown_calls(self) -> list[UnknownCall]:
        rows = await _SQL["finding_list_unknown_calls"].many(self._connection)
        return [UnknownCall(**row) for row in rows]

    async def list_stuck(self, *, long_seconds: float) -> list[StuckRun]:
        """`long_seconds`: how long a job may be ready and not taken; six times that, a run at work
        may show no progress."""
        rows = await _SQL["finding_list_stuck"].many(self._connection, long_seconds=long_seconds)
        return [StuckRun(**row) for row in rows]

    async def now(self) -> datetime:
        """The database's clock."""
        row = await _SQL["finding_now"].one(self._connection)
        moment: datetime = row["now"]
        return moment

    async def count_workers(self) -> int:
        """Workers that gave a sign of life within half a minute."""
        row = await _SQL["finding_count_workers"].one(self._connection)
        n: int = row["n"]
        return n
