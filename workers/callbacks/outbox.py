"""The outbox as its keepers see it: what is put back, given up, swept and thrown away."""

from uuid import UUID

from db.pool import Connection, Pool, transaction
from db.repositories.deliveries import Deliveries
from db.repositories.jobs import Jobs
from db.repositories.notifications import Notifications
from workers.callbacks.announcing import enqueue_delivery

KEPT_DAYS = 30
_DEAD_JOBS = frozenset(("failed", "aborted", "cancelled"))


async def tell_dead(
    connection: Connection,
    delivery_id: UUID,
    event: str,
    execution_id: UUID,
    origin: str | None,
    reason: str | None,
) -> None:
    """Tell the operator of a callback that was given up, once a receiver."""
    await Notifications(connection).raise_(
        type_="error",
        title=f"A callback to {origin or 'a refused address'} was given up",
        message=f"{event} of run {execution_id}: {reason}. All of them: ytempire callback list"
        f" --status dead; send it again: ytempire callback retry {delivery_id}",
        dedupe_key=f"callback:{origin or 'refused'}"[:200],
    )


async def retry_delivery(connection: Connection, delivery_id: UUID) -> bool:
    """Send a delivery again at once, from the beginning of the schedule and with its webhook-id.

    False when it was delivered, or is being sent in this moment.
    """
    deliveries = Deliveries(connection)
    row = await deliveries.lock(delivery_id=delivery_id)
    if row is None or row.status == "delivered":
        return False
    if row.status == "pending" and row.job_id is not None:
        done, _ = await Jobs(connection).restart(row.job_id, note="sent again by hand")
        if done not in ("restarted", "pending"):
            return False
        await deliveries.restart(delivery_id=delivery_id)
        return True
    await deliveries.restart(delivery_id=delivery_id)
    await enqueue_delivery(connection, delivery_id)
    return True


async def reconcile_deliveries(pool: Pool) -> int:
    """Give what nobody is about to send a job again; how many there were. What crashed its workers,
    or was cancelled in the queue, is given up with that reason."""
    async with transaction(pool) as connection:
        deliveries = Deliveries(connection)
        adrift = await deliveries.list_adrift()
        for one in adrift:
            if one.job_status not in _DEAD_JOBS:
                await enqueue_delivery(connection, one.id)
                continue
            reason = one.last_error or f"its job was {one.job_status}"
            await deliveries.settle(
                delivery_id=one.id,
                status="dead",
                status_code=None,
                error=reason,
                failures=0,
                early_answers=0,
            )
            await tell_dead(connection, one.id, one.event, one.execution_id, one.origin, reason)
        return len(adrift)


async def prune_deliveries(pool: Pool) -> int:
    """Delete what was delivered long ago; how many."""
    deleted = 0
    while True:
        async with transaction(pool) as connection:
            count = await Deliveries(connection).delete_old(days=KEPT_DAYS)
        deleted += count
        if not count:
            return deleted
