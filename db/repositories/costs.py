"""What was paid, to whom: `video_costs`. Rows are only ever added."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.statements import load
from pipeline.domain import Charge

_SQL = load("cost")


@dataclass(frozen=True, slots=True)
class CostLine:
    """The calls of one operation of a run, summed; `amount` in US dollars."""

    service: str
    operation: str
    calls: int
    amount: Decimal
    units: Decimal | None
    unit_type: str


@dataclass(frozen=True, slots=True)
class CostGroup:
    """A line of the report; `title` is set when the key is a video's id."""

    key: str
    title: str | None
    calls: int
    videos: int
    amount: Decimal


ROWS = {"cost_list_by_execution": CostLine, "cost_report": CostGroup}


class Costs:
    """Statements of `cost.sql` on one connection; none begins or commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(
        self,
        *,
        video_id: UUID,
        execution_id: UUID,
        charge: Charge,
        idempotency_key: str,
        metadata: Mapping[str, Any],
    ) -> None:
        """Book a charge; nothing happens when this key is booked already."""
        await _SQL["cost_insert"].exec(
            self._connection,
            video_id=video_id,
            execution_id=execution_id,
            service=charge.service,
            operation=charge.operation,
            amount=charge.amount,
            units=charge.units,
            unit_type=charge.unit_type,
            rate=charge.rate,
            request_id=charge.request_id,
            idempotency_key=idempotency_key,
            response_time_ms=charge.response_time_ms,
            metadata=metadata,
        )

    async def list_by_execution(self, *, execution_id: UUID) -> list[CostLine]:
        rows = await _SQL["cost_list_by_execution"].many(
            self._connection, execution_id=execution_id
        )
        return [CostLine(**row) for row in rows]

    async def report(self, *, by: str, since: datetime | None) -> list[CostGroup]:
        """`by`: service, channel, video or day (UTC)."""
        rows = await _SQL["cost_report"].many(self._connection, by=by, since=since)
        return [CostGroup(**row) for row in rows]

    async def usual_of_channel(self, *, channel_id: UUID) -> Decimal | None:
        """What its last ten finished runs cost on average; None when there is none."""
        row = await _SQL["cost_usual_of_channel"].one(self._connection, channel_id=channel_id)
        usual: Decimal | None = row["usual"]
        return usual
