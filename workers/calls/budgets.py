"""What a paid call must fit into before it is made.

Checked in the transaction that commits the call's intent, against what is booked plus what is
reserved, under a lock that lets one intent at a time look: so the sum of all calls never passes a
limit, however many workers there are. A call reserves the most it may cost; its outcome replaces
that by what it did cost.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from db.pool import Connection
from db.repositories.budgets import Budgets, Sums
from pipeline.errors import Deferred, OverBudget

UNDER_WAY = timedelta(seconds=30)
"""How soon calls that are under way may have given back what they do not need."""


@dataclass(frozen=True, slots=True)
class Limits:
    """US dollars; None: no limit. A channel's own is in its row."""

    per_video: Decimal | None = None
    per_day: Decimal | None = None


@dataclass(frozen=True, slots=True)
class _Purse:
    """A limit and what counts against it."""

    limit: Decimal
    name: str
    spent: Decimal
    unknown: Decimal
    open: Decimal

    def lacks_for(self, most: Decimal) -> bool:
        return self.spent + self.unknown + self.open + most > self.limit

    def lacks_for_good(self, most: Decimal) -> bool:
        """Whether it would not do, even if all calls under way gave everything back."""
        return self.spent + self.unknown + most > self.limit

    def told(self, service: str, most: Decimal) -> str:
        held = f", ${self.unknown:.6f} held by calls of unknown end" if self.unknown else ""
        way = f", ${self.open:.6f} reserved by calls under way" if self.open else ""
        return (
            f"the next call to {service} may cost ${most:.6f}, and {self.name} is"
            f" ${self.limit:.6f}: ${self.spent:.6f} spent{held}{way}"
        )


async def check_budget(
    connection: Connection,
    limits: Limits,
    *,
    video_id: UUID,
    service: str,
    most: Decimal,
    exactly: bool,
) -> None:
    """Raise when a call that may cost `most` does not fit into what may be spent.

    `exactly`: until the end of the transaction nobody else passes; otherwise a first look, without
    the lock. A video over its limit is `OverBudget`; a day over its limit is `Deferred` until the
    next day (UTC), or for a moment when only calls under way are in the way.
    """
    if most == 0:
        return
    budgets = Budgets(connection)
    channel = await budgets.channel(video_id=video_id)
    if limits.per_video is None and limits.per_day is None and channel.daily_budget is None:
        return
    if exactly:
        await budgets.lock()
    sums = await budgets.sums(video_id=video_id, channel_id=channel.id)
    _check_video(limits.per_video, sums, service, most)
    purses = []
    if channel.daily_budget is not None:
        purses.append(
            _Purse(
                channel.daily_budget,
                f"the daily budget of channel {channel.name!r}",
                sums.channel_spent,
                sums.channel_unknown,
                sums.channel_open,
            )
        )
    if limits.per_day is not None:
        purses.append(
            _Purse(
                limits.per_day,
                "YTEMPIRE_MAX_COST_PER_DAY",
                sums.day_spent,
                sums.day_unknown,
                sums.day_open,
            )
        )
    for purse in purses:
        if purse.lacks_for_good(most):
            raise Deferred(
                f"{purse.told(service, most)} today; it goes on tomorrow (UTC), or when the limit"
                " is raised and the run retried",
                until=sums.tomorrow,
            )
    for purse in purses:
        if purse.lacks_for(most):
            raise Deferred(purse.told(service, most), until=datetime.now(UTC) + UNDER_WAY)


def _check_video(limit: Decimal | None, sums: Sums, service: str, most: Decimal) -> None:
    if limit is None:
        return
    purse = _Purse(
        limit,
        "YTEMPIRE_MAX_COST_PER_VIDEO",
        sums.video_spent,
        sums.video_unknown,
        sums.video_open,
    )
    if purse.lacks_for(most):
        raise OverBudget(
            f"{purse.told(service, most)} for this video; raise it, then retry the run"
        )
