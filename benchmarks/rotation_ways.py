"""Three ways through the same month: ours on the real SQL, a naive round robin, and the best there
is."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID

from benchmarks.rotation_month import (
    PACIFIC,
    PROJECTS,
    START,
    UPLOADS_A_DAY,
    Month,
    Result,
    day_of,
    midnight,
)
from db.pool import Pool, transaction
from db.repositories.accounts import Account
from pipeline.errors import Deferred, Waiting
from pipeline.hosting import AccountEffect, AccountTrouble
from tests.services.account_network import Network, Run
from workers.accounts.quota_charges import release
from workers.accounts.quota_meter import ProjectMeter
from workers.accounts.trouble import TROUBLE, afflict, spend, switch

HOUR = timedelta(hours=1)


async def replay(
    month: Month, attempt: Callable[[int, datetime], Awaitable[datetime | None]]
) -> None:
    """Let each wish try until it is served; `attempt` tells when it tries again, None: served."""
    waiting = [(at, number) for number, (at, _) in enumerate(month.wishes)]
    heapq.heapify(waiting)
    while waiting:
        at, number = heapq.heappop(waiting)
        if at >= month.end:
            continue
        again = await attempt(number, at)
        if again is not None:
            heapq.heappush(waiting, (max(again, at + timedelta(seconds=1)), number))


class Ours:
    """`reserve_account`, its meter, troubles, health and settling, as workers call them."""

    def __init__(self, month: Month, pool: Pool) -> None:
        self.month, self.pool = month, pool
        self.network = Network(pool)
        self.result = Result("ytempire", month)
        self.accounts: list[UUID] = []
        self.runs: list[Run] = []
        self.seconds: list[float] = []
        self._doubted: set[int] = set()
        self._persons = sorted(
            (outage.ends, outage.account)
            for outage in month.outages
            if outage.effect is AccountEffect.REAUTHORISE
        )

    async def run(self) -> Result:
        month = self.month
        channels = [await self.network.channel(f"c{n}") for n in range(month.channels)]
        for account in range(month.accounts):
            self.accounts.append(
                await self.network.account(
                    f"a{account}",
                    [channels[n] for n in range(month.channels) if account in month.serves[n]],
                    project=str(account % PROJECTS),
                    is_reserve=month.is_reserve(account),
                    upload_limit=UPLOADS_A_DAY,
                    quota_date=START - timedelta(days=1),
                    health_changed_at=midnight(0),
                )
            )
        counts = [sum(1 for _, c in month.wishes if c == n) for n in range(month.channels)]
        made = [await self.network.runs(channels[n], counts[n]) for n in range(month.channels)]
        self.runs = [made[channel].pop() for _, channel in month.wishes]
        await replay(month, self._attempt)
        return self.result

    async def _attempt(self, number: int, at: datetime) -> datetime | None:
        while self._persons and self._persons[0][0] <= at:
            ends, account = self._persons.pop(0)
            await self._authorise(self.accounts[account], ends)
        wish, channel = self.month.wishes[number]
        run, began = self.runs[number], time.perf_counter()
        try:
            account_row = await self.network.reserve(run, at)
        except Deferred as error:
            return error.until
        except Waiting:
            return at + HOUR  # a person comes in the morning
        finally:
            self.seconds.append(time.perf_counter() - began)
        account = self.accounts.index(account_row.id)
        early = self.month.is_reserve(account) and await self._primary_could(channel, at)
        self.result.early_reserves += early
        await self._sent(account_row, at, "channels.list")
        trouble = self._trouble(number, account, account_row.id, at)
        if trouble is not None:
            self.result.refusals += 1
            async with transaction(self.pool) as connection:
                await afflict(connection, trouble, "injected", at=at)
                await release(connection, run.execution_id, reason=TROUBLE)
            return at
        await self._sent(account_row, at, "videos.insert", "videos.list", "videos.update")
        async with transaction(self.pool) as connection:
            await spend(connection, execution_id=run.execution_id, account_id=account_row.id, at=at)
        self.result.book(account, channel, wish, at)
        return None

    async def _sent(self, account: Account, at: datetime, *methods: str) -> None:
        meter = ProjectMeter(
            self.pool, account.project or "", account.id, account.reservation_id, at
        )
        for method in methods:
            await meter.sent(method)

    def _trouble(self, number: int, account: int, id_: UUID, at: datetime) -> AccountTrouble | None:
        outage = self.month.outage(account, at)
        if outage is not None:
            until = None if outage.effect is AccountEffect.REAUTHORISE else outage.ends
            return AccountTrouble(id_, outage.effect, "injected", until, rotate=True)
        if number in self.month.doubted and number not in self._doubted:
            self._doubted.add(number)
            rest = at + timedelta(minutes=15)
            return AccountTrouble(id_, AccountEffect.DOUBT, "forbidden", rest, rotate=True)
        return None

    async def _authorise(self, id_: UUID, at: datetime) -> None:
        state = await self.pool.fetchval("SELECT state FROM youtube_accounts WHERE id = $1", id_)
        if state == "needs_reauth":
            async with transaction(self.pool) as connection:
                await switch(connection, id_, is_active=True, reason="anew", at=at)

    async def _primary_could(self, channel: int, at: datetime) -> bool:
        """By what the database knows: a primary of the channel that is ready and has room."""
        primaries = [n for n in self.month.serves[channel] if not self.month.is_reserve(n)]
        return bool(
            await self.pool.fetchval(
                "SELECT count(*) FROM youtube_accounts WHERE id = ANY($1::uuid[])"
                " AND state IN ('ready', 'cooling')"
                " AND (cooldown_until IS NULL OR cooldown_until <= $2)"
                " AND (quota_date < $3 OR uploads_today < upload_limit)",
                [self.accounts[n] for n in primaries],
                at,
                at.astimezone(PACIFIC).date(),
            )
        )


class RoundRobin:
    """Each channel asks its accounts in turn, reserves like the others, and learns of limits by
    being refused; when all refuse, again in an hour."""

    def __init__(self, month: Month) -> None:
        self.month = month
        self.result = Result("round robin", month)
        self._turn = [0] * month.channels
        self._used: dict[tuple[int, int], int] = {}
        self._doubted: set[int] = set()

    async def run(self) -> Result:
        await replay(self.month, self._attempt)
        return self.result

    async def _attempt(self, number: int, at: datetime) -> datetime | None:
        wish, channel = self.month.wishes[number]
        accounts, day = self.month.serves[channel], day_of(at)
        for _ in accounts:
            account = accounts[self._turn[channel] % len(accounts)]
            self._turn[channel] += 1
            full = self._used.get((account, day), 0) >= UPLOADS_A_DAY
            doubted = number in self.month.doubted and number not in self._doubted
            if full or doubted or self.month.outage(account, at) is not None:
                self._doubted.add(number)
                self.result.refusals += 1
                continue
            self._used[account, day] = self._used.get((account, day), 0) + 1
            primaries = [n for n in accounts if not self.month.is_reserve(n)]
            self.result.early_reserves += self.month.is_reserve(account) and any(
                self._used.get((n, day), 0) < UPLOADS_A_DAY and self.month.outage(n, at) is None
                for n in primaries
            )
            self.result.book(account, channel, wish, at)
            return None
        return at + HOUR


def best_possible(month: Month, *, reserves: bool = True, carry: bool = True) -> int:
    """The most uploads anybody could make who knows the month in advance: a maximum flow from
    wishes through days to accounts. `carry`: a wish may be served on a later day."""
    flow, everything = Flow(), len(month.wishes)
    for day in range(month.days):
        for account in range(month.accounts):
            if (reserves or not month.is_reserve(account)) and month.serves_after(
                account, midnight(day), day
            ):
                flow.edge(("account", account, day), "sink", UPLOADS_A_DAY)
        for channel in range(month.channels):
            for account in month.serves[channel]:
                flow.edge(("channel", channel, day), ("account", account, day), UPLOADS_A_DAY)
            if day + 1 < month.days:
                flow.edge(("channel", channel, day), ("channel", channel, day + 1), everything)
    for number, (at, channel) in enumerate(month.wishes):
        day = day_of(at)
        flow.edge("source", ("wish", number), 1)
        for account in month.serves[channel]:
            if month.serves_after(account, at, day):
                flow.edge(("wish", number), ("account", account, day), 1)
        if carry and day + 1 < month.days:
            flow.edge(("wish", number), ("channel", channel, day + 1), 1)
    return flow.most("source", "sink")


class Flow:
    """Maximum flow: the shortest way that has room, until there is none (Dinic's levels)."""

    def __init__(self) -> None:
        self._room: list[int] = []
        self._to: list[int] = []
        self._from: list[list[int]] = []
        self._numbers: dict[object, int] = {}

    def _node(self, name: object) -> int:
        if name not in self._numbers:
            self._numbers[name] = len(self._from)
            self._from.append([])
        return self._numbers[name]

    def edge(self, a: object, b: object, room: int) -> None:
        for begin, end, most in ((a, b, room), (b, a, 0)):
            self._from[self._node(begin)].append(len(self._to))
            self._to.append(self._node(end))
            self._room.append(most)

    def most(self, source: object, sink: object) -> int:
        begin, end, total = self._node(source), self._node(sink), 0
        while True:
            level = self._levels(begin)
            if level[end] < 0:
                return total
            tried = [0] * len(self._from)
            while self._push(begin, end, level, tried):
                total += 1

    def _levels(self, begin: int) -> list[int]:
        level = [-1] * len(self._from)
        level[begin], queue = 0, deque([begin])
        while queue:
            node = queue.popleft()
            for edge in self._from[node]:
                if self._room[edge] and level[self._to[edge]] < 0:
                    level[self._to[edge]] = level[node] + 1
                    queue.append(self._to[edge])
        return level

    def _push(self, begin: int, end: int, level: list[int], tried: list[int]) -> bool:
        """Send one unit along the levels."""
        path: list[int] = []
        node = begin
        while node != end:
            edges = self._from[node]
            while tried[node] < len(edges):
                edge = edges[tried[node]]
                if self._room[edge] and level[self._to[edge]] == level[node] + 1:
                    break
                tried[node] += 1
            else:
                if not path:
                    return False
                edge = path.pop()
                node = self._to[edge ^ 1]
                tried[node] += 1
                continue
            path.append(edge)
            node = self._to[edge]
        for edge in path:
            self._room[edge] -= 1
            self._room[edge ^ 1] += 1
        return True
