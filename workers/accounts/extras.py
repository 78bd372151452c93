"""Units for what makes a published video better: thumbnail, playlist, captions.

Publishing comes first: extras get only what every upload that may still be made today leaves over.
"""

from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from db.pool import Connection, Pool, transaction
from db.repositories.executions import Executions
from db.repositories.reservations import Candidate, Over, Reservations
from pipeline.errors import Deferred, Rejected
from pipeline.hosting import HostedVideo
from pipeline.ports import Host
from workers.accounts.choice import Moment, Room, capacity_at
from workers.accounts.quota_charges import (
    Spare,
    end_overdue,
    end_reservation,
    load_policy,
    lock_buckets,
    moment_of,
    spare_units,
)
from workers.accounts.quota_policy import (
    CAPTIONS,
    DEFAULT_BUCKET,
    PLAYLIST,
    THUMBNAIL,
    MethodCost,
    Need,
)

EXTRA_HOLD = timedelta(minutes=15)


class AffordedExtras:
    """What adds extras at a host, each with units that publishing does not need (see
    `reserve_extra`)."""

    def __init__(self, host: Host, pool: Pool, *, execution_id: UUID, account_id: UUID) -> None:
        self._host = host
        self._pool = pool
        self._execution_id = execution_id
        self._account_id = account_id

    async def inspect(self, video_id: str) -> HostedVideo:
        return await self._host.inspect(video_id)

    async def add_thumbnail(self, video_id: str, image: Path) -> None:
        await self._afford(THUMBNAIL)
        await self._host.add_thumbnail(video_id, image)

    async def add_captions(self, video_id: str, captions: Path, language: str) -> None:
        await self._afford(CAPTIONS)
        await self._host.add_captions(video_id, captions, language)

    async def add_to_playlist(self, video_id: str, playlist_id: str) -> None:
        await self._afford(PLAYLIST)
        await self._host.add_to_playlist(video_id, playlist_id)

    async def _afford(self, method: str) -> None:
        await reserve_extra(
            self._pool,
            execution_id=self._execution_id,
            account_id=self._account_id,
            method=method,
        )


async def reserve_extra(
    pool: Pool,
    *,
    execution_id: UUID,
    account_id: UUID,
    method: str,
    at: datetime | None = None,
) -> None:
    """Make sure that one request of `method` (`captions.insert`) has its units on the account's
    project: those the run's reservation holds for it, or new ones.

    Call it right before each such request; the request itself is counted when it is sent, against
    these units. Without anything sent a repeat charges nothing. Accounts of the embedded host need
    none. Raises `Deferred` until the units are there again, `Rejected` when the project's whole day
    is too small for the method or the account is gone.
    """
    await end_overdue(pool, at=at)
    while True:
        async with transaction(pool) as connection:
            stale = await _reserve(connection, execution_id, account_id, method, at)
        if stale is None:
            return
        async with transaction(pool) as connection:
            await end_reservation(connection, stale, status="released", reason="midnight")


async def _reserve(
    connection: Connection,
    execution_id: UUID,
    account_id: UUID,
    method: str,
    at: datetime | None,
) -> Over | None:
    """None when the units are there; else the run's reservation of another day or account, which
    must end first, in a transaction of its own."""
    await Executions(connection).lock(execution_id=execution_id)
    rows = Reservations(connection)
    held = await rows.find_held(execution_id=execution_id)
    locked = await rows.lock_accounts(account_ids=[account_id])
    if not locked:
        raise Rejected("the account that uploaded this video is gone")
    (account,) = locked
    if account.project is None:
        return None
    moment = await moment_of(connection, at)
    if held is not None and (held.quota_date, held.account_id) != (moment.today, account_id):
        return Over(held.id, execution_id, held.account_id, held.quota_date)
    if held is not None and method in held.covers:
        return None
    cost = await _cost_with_room(connection, account, account.project, method, moment, execution_id)
    granted = await rows.grant(
        execution_id=execution_id,
        account_id=account_id,
        project=account.project,
        day=moment.today,
        units={cost.bucket: cost.units},
        account_units=cost.units if cost.bucket == DEFAULT_BUCKET else 0,
        covers=[method],
        uploads=0,
        now=moment.now,
        expires_at=moment.now + EXTRA_HOLD,
    )
    if granted is None:
        raise RuntimeError(
            f"project {account.project} had room for {method} under our lock, and has none"
        )
    return None


async def _cost_with_room(
    connection: Connection,
    account: Candidate,
    project: str,
    method: str,
    moment: Moment,
    execution_id: UUID,
) -> MethodCost:
    """What one request of the method costs, with its buckets locked; raises as `reserve_extra`
    does when there is no room for it."""
    policy = await load_policy(connection)
    cost = policy.cost(method)
    buckets = await lock_buckets(connection, policy, {project}, moment)
    if cost.bucket == DEFAULT_BUCKET:
        spare = await spare_units(
            connection, policy, account, buckets, moment, charging=Need(0, {})
        )
    else:
        room = buckets.get((project, cost.bucket), Room(0, 0))
        spare = Spare(room, room)
    if cost.units > min(policy.limit(project, cost.bucket), account.quota_limit):
        raise Rejected(
            f"{method} costs {cost.units} units, more than project {project} or {account.email}"
            " has in a day"
        )
    if not spare.fits(cost.units):
        raise Deferred(
            f"project {project} has no {cost.units} units to spare for {method} today: what is"
            " left is for uploads that are still to come",
            until=await _until(connection, account, spare, cost, moment, execution_id),
        )
    return cost


async def _until(
    connection: Connection,
    account: Candidate,
    spare: Spare,
    cost: MethodCost,
    moment: Moment,
    execution_id: UUID,
) -> datetime:
    """When reservations of other runs have ended and given enough back, or the next day."""
    project = account.project or ""
    held = await Reservations(connection).list_held(
        account_ids=[account.id], projects=[project], day=moment.today
    )
    untils = []
    for room, mine in (
        (spare.project, [each for each in held if each.project == project]),
        (spare.account, [each for each in held if each.account_id == account.id]),
    ):
        returning = [
            (each.expires_at, each.units.get(cost.bucket, 0))
            for each in mine
            if each.execution_id != execution_id
        ]
        # Room that is kept for uploads comes back with the next day only.
        untils.append(capacity_at(room, cost.units, returning, moment) or moment.midnight)
    return max(untils)
