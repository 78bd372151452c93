"""Charges into `video_costs`, each once."""

from collections.abc import Sequence
from uuid import UUID

from db.pool import Connection
from db.repositories.costs import Costs
from pipeline.domain import Charge, StageName


async def book(
    connection: Connection,
    charges: Sequence[Charge],
    *,
    video_id: UUID,
    execution_id: UUID,
    step_id: UUID,
    stage: StageName,
) -> None:
    """Book charges; one that is booked already, by whomever, is left as it is."""
    for charge in charges:
        await Costs(connection).insert(
            video_id=video_id,
            execution_id=execution_id,
            charge=charge,
            idempotency_key=_key(step_id, charge),
            metadata={**charge.metadata, "step": stage.value},
        )


def _key(step_id: UUID, charge: Charge) -> str:
    """The same whether a call is booked as it is made, by a repeat of its step, or by a person."""
    if charge.call_id is not None:
        return f"call:{charge.call_id}"
    return f"{step_id}:{charge.operation}:{charge.request_id or charge.shard}"
