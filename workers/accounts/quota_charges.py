"""Charging and settling units: what reserving, extras and the end of a reservation have in common.

Everybody takes locks in one order, so that nobody ever deadlocks: the run, the upload attempt, the
accounts by id, the day's buckets by project and name, the reservation. What Google must not see
twice is charged before it is sent; what was charged and surely not sent is given back.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.pool import Connection, Pool, transaction
from db.repositories.quota import Quota
from db.repositories.reservations import Candidate, Ended, Over, Reservations, undrawn
from pipeline.errors import Waiting
from workers.accounts.choice import Buckets, Moment, Room, quota_room, uploads_room
from workers.accounts.quota_policy import (
    CORE,
    DEFAULT_BUCKET,
    INSERT,
    KEY,
    Need,
    QuotaPolicy,
    parse_policy,
)

HOLD_SECONDS = 3600.0  # a reservation that nobody uses for so long is over


async def load_policy(connection: Connection) -> QuotaPolicy:
    """What the operator's data say. Raises `Waiting` when they are gone or broken."""
    value = await Quota(connection).policy()
    if value is None:
        raise Waiting(f"{KEY} is missing in system_config: ytempire db migrate does not restore it")
    return parse_policy(value)


async def moment_of(connection: Connection, at: datetime | None) -> Moment:
    row = await Reservations(connection).moment(at=at)
    return Moment(row.now, row.today, row.midnight)


async def lock_buckets(
    connection: Connection, policy: QuotaPolicy, projects: Collection[str], moment: Moment
) -> Buckets:
    """The projects' buckets of today, locked; they are made when the day is new."""
    if not projects:
        return {}
    named = sorted(projects)
    buckets = sorted({*policy.limits, INSERT, DEFAULT_BUCKET})
    rows = [(project, bucket) for project in named for bucket in buckets]
    quota = Quota(connection)
    await quota.open(
        projects=[project for project, _ in rows],
        buckets=[bucket for _, bucket in rows],
        limits=[policy.limit(project, bucket) for project, bucket in rows],
        day=moment.today,
    )
    locked = await quota.lock(projects=named, day=moment.today)
    return {(row.project, row.bucket): Room(row.used, row.quota_limit) for row in locked}


@dataclass(frozen=True, slots=True)
class Spare:
    """The default units that extras may have, of the project and of the account: what is left when
    every upload that may still be made today is published. Publishing comes first."""

    project: Room
    account: Room

    def fits(self, units: int) -> bool:
        return self.project.fits(units) and self.account.fits(units)


async def spare_units(
    connection: Connection,
    policy: QuotaPolicy,
    account: Candidate,
    buckets: Buckets,
    moment: Moment,
    *,
    charging: Need,
) -> Spare:
    """See `Spare`; `charging` is what this transaction is about to count beside the extras."""
    if account.project is None:
        raise ValueError("an account of the embedded host has no units")
    core = policy.units(CORE)
    kept = core.get(DEFAULT_BUCKET, 0)
    inserts = buckets[account.project, INSERT]
    to_insert = max(inserts.limit - inserts.used - charging.units.get(INSERT, 0), 0)
    left = await Quota(connection).count_uploads_left(project=account.project, day=moment.today)
    to_upload = max(left - charging.uploads, 0)
    whole = buckets[account.project, DEFAULT_BUCKET]
    own, uploads = quota_room(account, moment), uploads_room(account, moment)
    own_to_upload = max(uploads.limit - uploads.used - charging.uploads, 0)
    return Spare(
        Room(whole.used + charging.default_units, whole.limit - kept * min(to_insert, to_upload)),
        Room(own.used + charging.default_units, own.limit - kept * own_to_upload),
    )


async def end_reservation(
    connection: Connection,
    over: Over,
    *,
    status: str,
    reason: str,
    overdue_at: datetime | None = None,
) -> Ended | None:
    """End a held reservation and give back what it did not use; None when it has ended already or,
    with `overdue_at`, is in use again.

    Its upload comes back only when surely nothing was sent with it: neither a counted request nor
    an attempt that has a session.
    """
    rows, quota = Reservations(connection), Quota(connection)
    locked = await rows.lock_accounts(account_ids=[over.account_id])
    project = locked[0].project if locked else None
    if project is not None:
        await quota.lock(projects=[project], day=over.quota_date)
    ended = await rows.end(
        reservation_id=over.id, status=status, reason=reason, overdue_at=overdue_at
    )
    if ended is None:
        return None
    left = undrawn(ended.units, ended.drawn)
    sent = status == "spent" or ended.sent or bool(ended.drawn.get(INSERT))
    await rows.refund_account(
        account_id=ended.account_id,
        day=ended.quota_date,
        uploads=0 if sent else ended.uploads,
        units=left.get(DEFAULT_BUCKET, 0) if project is not None else 0,
        total_units=sum(ended.units.values()) - sum(left.values()),
    )
    if project is not None and left:
        await quota.refund(
            project=project,
            day=ended.quota_date,
            buckets=list(left),
            units=list(left.values()),
        )
    return ended


async def end_overdue(pool: Pool, *, at: datetime | None = None) -> int:
    """Release reservations that nobody used for an hour, and those of runs that have ended; how
    many. Each in a transaction of its own, so that none waits for many rows."""
    async with transaction(pool) as connection:
        overdue = await Reservations(connection).list_over(at=at)
    count = 0
    for over in overdue:
        async with transaction(pool) as connection:
            moment = await moment_of(connection, at)
            ended = await end_reservation(
                connection, over, status="released", reason="expired", overdue_at=moment.now
            )
            count += ended is not None
    return count


async def release(connection: Connection, execution_id: UUID, *, reason: str) -> None:
    """Give back what the run holds; a repeat does nothing."""
    for over in await Reservations(connection).list_over(execution_id=execution_id):
        await end_reservation(connection, over, status="released", reason=reason)
