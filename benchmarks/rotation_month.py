"""A month of wishes and failures, the same for every way of rotating, and what one made of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from pipeline.hosting import AccountEffect

PACIFIC = ZoneInfo("America/Los_Angeles")
START = date(2026, 10, 15)  # the day of 25 hours is within the month
UPLOADS_A_DAY = 5
PROJECTS = 2
PRIMARIES_EACH = 2  # accounts of a channel beside a reserve
PERSON_COMES_AT = 9  # o'clock in Los Angeles


def midnight(day: int) -> datetime:
    """When a day of the month begins in Los Angeles."""
    at = START + timedelta(days=day)
    return datetime(at.year, at.month, at.day, tzinfo=PACIFIC).astimezone(UTC)


def day_of(moment: datetime) -> int:
    return (moment.astimezone(PACIFIC).date() - START).days


@dataclass(frozen=True, slots=True)
class Outage:
    """An account serves nothing from `begins` to `ends`; who asks it is refused."""

    account: int
    begins: datetime
    ends: datetime
    effect: AccountEffect


@dataclass(frozen=True, slots=True)
class Month:
    days: int
    channels: int
    accounts: int
    reserves: int
    serves: Sequence[Sequence[int]]  # accounts of each channel, primaries first
    wishes: Sequence[tuple[datetime, int]]  # moment and channel, in order
    outages: Sequence[Outage]
    doubted: frozenset[int]  # wishes that are refused once, without a reason

    @property
    def end(self) -> datetime:
        return midnight(self.days)

    def is_reserve(self, account: int) -> bool:
        return account >= self.accounts - self.reserves

    def outage(self, account: int, at: datetime) -> Outage | None:
        return next(
            (o for o in self.outages if o.account == account and o.begins <= at < o.ends), None
        )

    def serves_after(self, account: int, at: datetime, day: int) -> bool:
        """Is there any time of the day, not before `at`, at which the account is not out?"""
        moment, over = max(at, midnight(day)), midnight(day + 1)
        while moment < over:
            outage = self.outage(account, moment)
            if outage is None:
                return True
            moment = outage.ends
        return False


def make_month(days: int, channels: int, accounts: int, reserves: int, seed: int) -> Month:
    chance = random.Random(seed)
    primaries = accounts - reserves
    serves = [
        [
            *chance.sample(range(primaries), min(PRIMARIES_EACH, primaries)),
            *([primaries + chance.randrange(reserves)] if reserves else []),
        ]
        for _ in range(channels)
    ]
    wishes = sorted(
        (midnight(day) + timedelta(seconds=chance.uniform(6 * 3600, 20 * 3600)), channel)
        for day in range(days)
        for channel in range(channels)
        for _ in range(chance.choices((0, 1, 2, 3), (10, 65, 20, 5))[0])
    )
    outages = []
    for day in range(days):
        for account in range(accounts):
            begins = midnight(day) + timedelta(seconds=chance.uniform(5 * 3600, 18 * 3600))
            fate = chance.random()
            if fate < 0.03:
                ends = begins + timedelta(hours=24)
                outages.append(Outage(account, begins, ends, AccountEffect.COOL))
            elif fate < 0.04:
                ends = midnight(day + 1) + timedelta(hours=PERSON_COMES_AT)
                outages.append(Outage(account, begins, ends, AccountEffect.REAUTHORISE))
    spent = days // 2
    outages += [
        Outage(
            account,
            midnight(spent) + timedelta(hours=12),
            midnight(spent + 1),
            AccountEffect.BENCH,
        )
        for account in range(0, accounts, PROJECTS)
    ]
    doubted = frozenset(n for n in range(len(wishes)) if chance.random() < 0.02)
    return Month(days, channels, accounts, reserves, serves, wishes, outages, doubted)


@dataclass(slots=True)
class Result:
    """What one way of rotating made of the month."""

    name: str
    month: Month
    by_account: dict[int, int] = field(default_factory=dict)
    by_channel: dict[int, int] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)  # hours from wish to upload
    same_day: int = 0
    refusals: int = 0  # requests that YouTube refused
    early_reserves: int = 0  # a reserve served while a primary of the channel could

    def book(self, account: int, channel: int, wish: datetime, at: datetime) -> None:
        self.same_day += day_of(wish) == day_of(at)
        self.by_account[account] = self.by_account.get(account, 0) + 1
        self.by_channel[channel] = self.by_channel.get(channel, 0) + 1
        self.waits.append((at - wish) / timedelta(hours=1))

    @property
    def served(self) -> int:
        return len(self.waits)

    @property
    def by_reserves(self) -> int:
        return sum(n for account, n in self.by_account.items() if self.month.is_reserve(account))
