"""Counting requests to YouTube: each one, whatever its answer, whichever command sends it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.pool import Pool, acquired, transaction
from db.repositories.accounts import Account
from db.repositories.quota import Quota
from db.repositories.reservations import Reservations
from workers.accounts.quota_charges import HOLD_SECONDS, load_policy
from workers.accounts.quota_policy import DEFAULT_BUCKET


@dataclass(frozen=True, slots=True)
class ProjectMeter:
    """`QuotaMeter` of one Cloud project, on `quota_usage`.

    A request is drawn from its run's reservation, or from one that covers extras of the account:
    its units were counted when they were reserved. What none covers counts at once, on the day it
    is sent on.
    """

    pool: Pool
    project: str
    account_id: UUID | None = None
    reservation_id: UUID | None = None
    at: datetime | None = None

    async def sent(self, method: str) -> None:
        """See `QuotaMeter`. Committed when it returns; database errors leave as they are."""
        async with acquired(self.pool) as connection:
            policy = await load_policy(connection)
            cost = policy.cost(method)
            uncovered = cost.units
            if self.account_id is not None and cost.units:
                # By itself, with no other row locked: what locks reservations last cannot wait.
                uncovered = await Reservations(connection).draw(
                    reservation_id=self.reservation_id,
                    account_id=self.account_id,
                    bucket=cost.bucket,
                    units=cost.units,
                    method=method,
                    at=self.at,
                    hold_seconds=HOLD_SECONDS,
                )
        if not uncovered:
            return
        async with transaction(self.pool) as connection:
            quota = Quota(connection)
            if self.account_id is not None:
                await quota.count_account(
                    account_id=self.account_id,
                    units=uncovered if cost.bucket == DEFAULT_BUCKET else 0,
                    total_units=uncovered,
                    at=self.at,
                )
            await quota.count_sent(
                project=self.project,
                bucket=cost.bucket,
                units=uncovered,
                quota_limit=policy.limit(self.project, cost.bucket),
                at=self.at,
            )


def account_meter(pool: Pool, account: Account) -> ProjectMeter:
    """The meter of a stored account, drawing from the reservation it was handed out with."""
    return ProjectMeter(
        pool, account.project or str(account.id), account.id, account.reservation_id
    )
