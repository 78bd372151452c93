"""What a person says of a paid call that nobody else can tell the end of."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from db.pool import Connection
from db.repositories.calls import Calls, FoundCall
from db.repositories.executions import Executions
from db.repositories.videos import Videos
from pipeline.domain import Charge, StageName
from workers.calls.booking import book
from workers.runs.starting import enqueue_step


class CallSettled(Exception):
    """The call has an outcome, or may still take effect: there is nothing to say yet."""


class Resolution(StrEnum):
    """What a person found out."""

    PAID = "paid"
    """It was charged; its answer is lost, and the step asks anew."""

    NOT_PAID = "not_paid"
    """It was not charged."""

    REPEAT = "repeat"
    """It cannot be found out, and may be made again."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A call with its outcome. `resumed`: its run waited for this, and goes on."""

    id: UUID
    execution_id: UUID
    service: str
    operation: str
    resolution: Resolution
    amount: Decimal | None
    resumed: bool

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "id": self.id,
            "execution_id": self.execution_id,
            "service": self.service,
            "operation": self.operation,
            "status": "failed",
            "resolution": self.resolution.value,
            "amount": self.amount,
            "resumed": self.resumed,
        }


async def resolve_call(
    connection: Connection,
    call_id: UUID,
    resolution: Resolution,
    *,
    amount: Decimal | None,
    by: str,
    reason: str,
) -> Resolved:
    """Give a call the outcome that a person found out, in the caller's transaction.

    `amount` (US dollars) is booked for `PAID`. A run that waits for it goes on. Raises
    `CallSettled`.
    """
    calls, executions = Calls(connection), Executions(connection)
    call = await calls.find(call_id=call_id)
    await executions.lock(execution_id=call.execution_id)
    charged = amount if resolution is Resolution.PAID else None
    told = f"{resolution.value} says {by}: {reason}"
    recorded = Decimal(0) if resolution is Resolution.NOT_PAID else charged
    if not await calls.resolve(call_id=call_id, amount=recorded, error=told):
        raise CallSettled(_why(call))
    if charged:
        await _book(connection, call, charged, told)
    priority = await executions.wake(execution_id=call.execution_id, step=StageName(call.step))
    if priority is not None:
        await enqueue_step(
            connection,
            execution_id=call.execution_id,
            stage=StageName(call.step),
            priority=priority,
        )
    return Resolved(
        call.id,
        call.execution_id,
        call.service,
        call.operation,
        resolution,
        recorded,
        resumed=priority is not None,
    )


async def _book(connection: Connection, call: FoundCall, amount: Decimal, told: str) -> None:
    if call.video_id is None:
        raise CallSettled(f"the video of call {call.id} is gone: nothing can be booked for it")
    charge = Charge(
        service=call.service,
        operation=call.operation,
        amount=amount,
        units=Decimal(1),
        unit_type="calls",
        metadata={"resolved": told},
        call_id=call.id,
    )
    await book(
        connection,
        (charge,),
        video_id=call.video_id,
        execution_id=call.execution_id,
        step_id=call.step_id,
        stage=StageName(call.step),
    )
    await Calls(connection).sum_costs(step_id=call.step_id)
    await Videos(connection).sum_cost(video_id=call.video_id)


def _why(call: FoundCall) -> str:
    if call.status in ("done", "failed"):
        return f"call {call.id} has its outcome already: {call.status}"
    return (
        f"call {call.id} may still take effect at {call.service} until"
        f" {call.settle_at:%Y-%m-%d %H:%M:%S}Z; then it is looked up"
    )
